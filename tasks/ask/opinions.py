"""What the parsers find in samples, as rows of `scores`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from storage import Warehouse, content_id
from tasks.ask.parsers import Reader, read
from tasks.ask.sample import Chain, Sample, as_chain


def opinion_rows(
    what: Sample | Chain, samples: Iterable[Mapping[str, object]], *, run: str, round: int
) -> Iterator[dict[str, object]]:
    """Yield one row of `scores` for every sample of a link that has a parser.

    A text that can't be read has the status `ok`, neither value nor label, and `detail.failure`;
    a sample that the engine failed on has the status `error`.

    Args:
        what: What was asked.
        samples: Rows of `samples`.
        run: The run.
        round: Its round.
    """
    chain = as_chain(what)
    for sample in samples:
        number = int(str(sample["turn"])) - chain.turn(0)
        if not 0 <= number < len(chain.links):
            continue
        link = chain.links[number]
        if link.parser is not None and sample["role"] == link.role:
            yield _row(link, link.parser, sample, run, round)


def parse_shard(
    warehouse: Warehouse, what: Sample | Chain, *, run: str, round: int, part: str
) -> None:
    """Write the `scores` of a part's samples as the shard of the same name, unless it is there."""
    if warehouse.has("scores", run=run, round=round, part=part):
        return
    samples = warehouse.read("samples", run=run, round=round, part=part).to_pylist()
    rows = list(opinion_rows(what, samples, run=run, round=round))
    warehouse.write_shard("scores", rows, run=run, round=round, part=part)


def _row(
    link: Sample, parser: Reader, sample: Mapping[str, object], run: str, round: int
) -> dict[str, object]:
    own = str(sample["id"])
    parents = sample["parent_ids"]
    assert isinstance(parents, list)
    about, detail, identity = own, dict[str, object](), [own, link.check_name, parser.version]
    if link.about == "parent" and parents:
        about = parents[0]
        detail = {"judgement": own, "others": parents[1:]}
        identity = [about, link.check_name, parser.version, own]
    row = {
        "id": content_id("score", run, round, *identity),
        "sample_id": about,
        "check": link.check_name,
        "version": parser.version,
        "value": None,
        "label": None,
        "status": sample["status"],
        "error": sample["error"],
    }
    if sample["status"] == "ok":
        parsed = read(parser, str(sample["text"]))
        row |= {"value": parsed.value, "label": parsed.label}
        detail |= parsed.detail
        if parsed.failure is not None:
            detail |= {"failure": parsed.failure, "finish_reason": sample["finish_reason"]}
    return row | {"detail": detail}
