"""The work of `benchmarks/selection.py` as people do it without Selfloom: dicts, and polars.

Votes; confident majorities (share >= 0.5, at least 2 votes, no tie) as SFT examples, one of equal
texts, at most 4 per prompt; the most over the least voted answer as one pair per prompt, weighted
by the margin; a reason for every sample that is in neither.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

MIN_SHARE, MIN_VOTES, MAX_PER_PROMPT = 0.5, 2, 4
Row = dict[str, Any]


class Counts(NamedTuple):
    """How many rows were made."""

    votes: int
    examples: int
    pairs: int


def files(folder: Path, table: str, name: str = "") -> list[str]:
    """The files of a table's parts."""
    return sorted(map(str, (folder / "tables" / table).glob(f"run=bench/round=1/*{name}.parquet")))


def select_with_dicts(folder: Path) -> Counts:
    """Hugging Face datasets to read and write, Python dicts between."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    cache = str(folder / "peer" / "cache")

    def read(table: str, name: str, columns: list[str]) -> Any:
        found = files(folder, table, name)
        return Dataset.from_parquet(found, cache_dir=cache, columns=columns)

    answers = {
        row["sample_id"]: row["label"] for row in read("scores", "-answer", ["sample_id", "label"])
    }
    messages = {row["id"]: row["messages"] for row in read("prompts", "", ["id", "messages"])}
    prompts: dict[str, list[Row]] = defaultdict(list)
    for row in read("samples", "", ["id", "prompt_id", "text"]):
        prompts[row["prompt_id"]].append(row | {"answer": answers[row["id"]]})
    tables: dict[str, list[Row]] = {"votes": [], "examples": [], "pairs": [], "rejections": []}
    for prompt_id, samples in prompts.items():
        _select_prompt(prompt_id, messages[prompt_id], samples, tables)
    for table, rows in tables.items():
        Dataset.from_list(rows).to_parquet(folder / "peer" / f"{table}.parquet")
    return Counts(len(tables["votes"]), len(tables["examples"]), len(tables["pairs"]))


def _select_prompt(
    prompt_id: str, prompt: list[Row], samples: list[Row], tables: dict[str, list[Row]]
) -> None:
    counts = Counter(row["answer"] for row in samples if row["answer"] is not None)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for rank, (answer, count) in enumerate(ranked, 1):
        share = count / len(samples)
        tables["votes"].append(
            {"prompt_id": prompt_id, "answer": answer, "count": count, "share": share, "rank": rank}
        )
    # The same coin as the SQL's, so that the same samples are picked.
    samples = sorted(samples, key=lambda row: hashlib.md5(f"{row['id']}:0".encode()).digest()[8:])
    used: set[str] = set()
    is_tied = len(ranked) > 1 and ranked[0][1] == ranked[1][1]
    is_confident = bool(ranked) and ranked[0][1] / len(samples) >= MIN_SHARE
    if is_confident and not is_tied and ranked[0][1] >= MIN_VOTES:
        texts: dict[str, Row] = {}
        for row in samples:
            if row["answer"] == ranked[0][0]:
                texts.setdefault(row["text"].strip(), row)
        for row in list(texts.values())[:MAX_PER_PROMPT]:
            used.add(row["id"])
            completion = [{"role": "assistant", "content": row["text"]}]
            tables["examples"].append(
                {"prompt_id": prompt_id, "prompt": prompt, "completion": completion, "weight": 1.0}
            )
    if is_confident and len(ranked) > 1 and ranked[0][1] > ranked[-1][1]:
        sides = {ranked[0][0]: 0, ranked[-1][0]: 1}
        both = [{r["text"].strip() for r in samples if r["answer"] == a} for a in sides]
        found = [
            [r for r in samples if r["answer"] == a and r["text"].strip() not in both[0] & both[1]]
            for a in sides
        ]
        if all(found):
            chosen, rejected = found[0][0], found[1][0]
            used |= {chosen["id"], rejected["id"]}
            tables["pairs"].append(
                {
                    "prompt_id": prompt_id,
                    "prompt": prompt,
                    "chosen": [{"role": "assistant", "content": chosen["text"]}],
                    "rejected": [{"role": "assistant", "content": rejected["text"]}],
                    "weight": (ranked[0][1] - ranked[-1][1]) / len(samples),
                }
            )
    for row in samples:
        if row["id"] not in used:
            reason = "no_answer" if row["answer"] is None else "not_selected"
            tables["rejections"].append({"row_id": row["id"], "reason": reason})


def select_with_polars(folder: Path) -> Counts:
    """Polars from Parquet to Parquet, without texts where none is needed."""
    import polars as pl

    out = folder / "peer"
    out.mkdir(parents=True)
    answers = pl.scan_parquet(files(folder, "scores", "-answer")).select(
        pl.col("sample_id").alias("id"), "label"
    )
    texts = pl.scan_parquet(files(folder, "samples")).select("id", "prompt_id", "text")
    prompts = pl.scan_parquet(files(folder, "prompts")).select(
        pl.col("id").alias("prompt_id"), pl.col("messages").alias("prompt")
    )
    slim = (
        texts.select("id", "prompt_id", pl.col("text").str.strip_chars().hash().alias("key"))
        .join(answers, on="id", how="left")
        .with_columns(pl.col("id").hash(0).alias("pick"))
        .collect()
    )
    sizes = slim.group_by("prompt_id").agg(pl.len().alias("num_samples"))
    votes = (
        slim.drop_nulls("label")
        .group_by("prompt_id", "label")
        .agg(pl.len().alias("count"))
        .join(sizes, on="prompt_id")
        .sort("prompt_id", "count", "label", descending=[False, True, False])
        .with_columns(
            (pl.col("count") / pl.col("num_samples")).alias("share"),
            pl.int_range(pl.len()).over("prompt_id").alias("rank") + 1,
        )
    )
    votes.write_parquet(out / "votes.parquet")
    leaders = votes.group_by("prompt_id", maintain_order=True).agg(
        pl.col("label").first().alias("best"),
        pl.col("label").last().alias("worst"),
        pl.col("count").first().alias("count"),
        pl.col("share").first().alias("share"),
        (pl.col("share").first() - pl.col("share").last()).alias("margin"),
        (pl.col("count").slice(1, 1).first() == pl.col("count").first()).alias("is_tied"),
    )
    led = slim.join(leaders, on="prompt_id", how="inner").filter(pl.col("share") >= MIN_SHARE)
    examples = (
        led.filter(
            (pl.col("label") == pl.col("best"))
            & (pl.col("count") >= MIN_VOTES)
            & ~pl.col("is_tied").fill_null(False)
        )
        .sort("pick")
        .unique(["prompt_id", "key"], keep="first", maintain_order=True)
        .filter(pl.int_range(pl.len()).over("prompt_id") < MAX_PER_PROMPT)
        .select("id", "prompt_id")
    )
    sided = led.filter(
        (pl.col("margin") > 1e-9)
        & ((pl.col("label") == pl.col("best")) | (pl.col("label") == pl.col("worst")))
    ).filter(pl.col("label").n_unique().over("prompt_id", "key") == 1)
    sided = sided.sort("pick").unique(["prompt_id", "label"], keep="first", maintain_order=True)
    chosen = sided.filter(pl.col("label") == pl.col("best"))
    rejected = sided.filter(pl.col("label") == pl.col("worst"))
    pairs = chosen.select("id", "prompt_id", pl.col("margin").alias("weight")).join(
        rejected.select("prompt_id", pl.col("id").alias("rejected_id")), on="prompt_id"
    )
    used = pl.concat([examples["id"], pairs["id"], pairs["rejected_id"]]).unique()
    slim.join(used.to_frame("id"), on="id", how="anti").select(
        "id",
        pl.when(pl.col("label").is_null())
        .then(pl.lit("no_answer"))
        .otherwise(pl.lit("not_selected"))
        .alias("reason"),
    ).write_parquet(out / "rejections.parquet")
    written = texts.select("id", "text").join(used.to_frame("id").lazy(), on="id").collect()
    examples.join(written, on="id").join(prompts.collect(), on="prompt_id").write_parquet(
        out / "examples.parquet"
    )
    (
        pairs.join(written.rename({"text": "chosen"}), on="id")
        .join(written.rename({"id": "rejected_id", "text": "rejected"}), on="rejected_id")
        .join(prompts.collect(), on="prompt_id")
        .write_parquet(out / "pairs.parquet")
    )
    return Counts(votes.height, examples.height, pairs.height)
