"""Samples made elsewhere: imported, checked, voted on, selected, and trainable as they are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from storage import Warehouse
from tasks.errors import DataFormatError, OptionError, ReferencesNotAllowedError, UnknownNameError
from tasks.import_samples import ImportReport, import_samples
from tasks.sample_mapping import SampleMapping, guess_mapping
from tasks.selection import Selection

TABLES = ("prompts", "samples", "scores", "votes", "examples", "pairs", "rejections")


@pytest.fixture(scope="module")
def real(
    tmp_path_factory: pytest.TempPathFactory, shared_data: Path
) -> tuple[Warehouse, ImportReport]:
    warehouse = Warehouse.open(tmp_path_factory.mktemp("import") / "w")
    path = shared_data / "gsm8k" / "model_solutions.jsonl"
    return warehouse, import_samples(warehouse, path, run="gsm8k")


def read(warehouse: Warehouse, table: str, run: str = "import") -> list[dict[str, Any]]:
    return list(warehouse.read(table, run=run, round=1).to_pylist())


def save(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_verdicts_agree_with_the_published_ones(real: tuple[Warehouse, ImportReport]) -> None:
    warehouse, report = real
    assert (report.num_rows, report.num_prompts, report.num_samples) == (600, 600, 2400)
    assert report.bad.count == 0
    assert report.disagreements == []
    assert (report.num_compared, report.num_agreed) == (2400, 2400)
    scores = read(warehouse, "scores", "gsm8k")
    by_check = {
        check: {s["sample_id"]: s["value"] for s in scores if s["check"] == check}
        for check in ("reference", "imported")
    }
    assert by_check["reference"] == by_check["imported"]
    assert len(by_check["reference"]) == 2400


def test_the_four_solutions_of_a_prompt_vote(real: tuple[Warehouse, ImportReport]) -> None:
    warehouse, report = real
    labels = {
        s["sample_id"]: s["label"]
        for s in read(warehouse, "scores", "gsm8k")
        if s["check"] == "answer"
    }
    counted: Counter[tuple[str, str]] = Counter()
    for sample in read(warehouse, "samples", "gsm8k"):
        if labels[sample["id"]] is not None:
            counted[sample["prompt_id"], labels[sample["id"]]] += 1
    votes = read(warehouse, "votes", "gsm8k")
    assert {(v["prompt_id"], v["answer"]): v["count"] for v in votes} == counted
    assert {v["num_samples"] for v in votes} == {4}
    assert report.num_votes == len(votes)


def test_selected_rows_follow_from_votes_and_verdicts(
    real: tuple[Warehouse, ImportReport],
) -> None:
    warehouse, report = real
    scores = read(warehouse, "scores", "gsm8k")
    values = {s["sample_id"]: s["value"] for s in scores if s["check"] == "reference"}
    labels = {s["sample_id"]: s["label"] for s in scores if s["check"] == "answer"}
    texts = {s["id"]: s["text"] for s in read(warehouse, "samples", "gsm8k")}
    top = {v["prompt_id"]: v for v in read(warehouse, "votes", "gsm8k") if v["rank"] == 1}
    examples, pairs = read(warehouse, "examples", "gsm8k"), read(warehouse, "pairs", "gsm8k")
    assert examples
    assert pairs
    for example in examples:
        (sample,) = example["sample_ids"]
        assert labels[sample] == top[example["prompt_id"]]["answer"]
        assert top[example["prompt_id"]]["count"] >= 2
        assert example["completion"] == [{"role": "assistant", "content": texts[sample]}]
    for pair in pairs:
        assert (values[pair["chosen_sample_id"]], values[pair["rejected_sample_id"]]) == (1.0, 0.0)
        assert pair["rejected"] == [
            {"role": "assistant", "content": texts[pair["rejected_sample_id"]]}
        ]
    used = {s for row in examples + pairs for s in row["sample_ids"]}
    rejected = [row["row_id"] for row in read(warehouse, "rejections", "gsm8k")]
    assert used.isdisjoint(rejected)
    assert len(used) + len(rejected) == 2400
    assert report.selection is not None
    assert (report.selection.num_used, report.selection.num_rejected) == (len(used), len(rejected))


@pytest.mark.slow
def test_the_tables_go_straight_into_trl(
    real: tuple[Warehouse, ImportReport], tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    loaded = {
        table: datasets.load_dataset(
            "parquet",
            data_files=str(real[0].table_dir(table) / "run=gsm8k" / "*" / "*.parquet"),
            split="train",
            cache_dir=str(tmp_path / "cache"),
        )
        for table in ("examples", "pairs")
    }
    symbols = ["<pad>", "<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bytes_only = Tokenizer(models.BPE({symbol: i for i, symbol in enumerate(symbols)}, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only, pad_token="<pad>", eos_token="<eos>"
    )
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] + ':' + m['content'] + '<eos>' }}{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )
    config = LlamaConfig(
        vocab_size=len(symbols), hidden_size=32, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=1, max_position_embeddings=2048, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    shared: dict[str, Any] = {
        "output_dir": str(tmp_path / "out"), "max_steps": 2, "per_device_train_batch_size": 2,
        "bf16": False, "use_cpu": True, "max_length": 1024, "gradient_checkpointing": False,
        "save_strategy": "no",
    }  # fmt: skip
    model = str(tmp_path / "model")
    sft = SFTTrainer(
        model=model,
        args=SFTConfig(**shared),
        train_dataset=loaded["examples"].select(range(8)),
        processing_class=tokenizer,
    )
    dpo = DPOTrainer(
        model=model,
        args=DPOConfig(**shared),
        train_dataset=loaded["pairs"].select(range(8)),
        processing_class=tokenizer,
    )
    assert sft.train().global_step == 2
    assert dpo.train().global_step == 2


FLAT = [
    {"prompt": "1+1?", "response": "A: 2", "model": "m1", "gold": "2"},
    {"prompt": "1+1?", "response": "A: 2.0 ", "model": "m2", "gold": "2"},
    {"prompt": "1+1?", "response": "A: 3", "model": "m1", "gold": "2"},
    {"prompt": "2+2?", "response": "A: 4", "model": "m1", "gold": "4"},
]


def test_flat_rows_share_their_prompt(tmp_path: Path) -> None:
    warehouse = Warehouse.open(tmp_path / "w")
    report = import_samples(warehouse, save(tmp_path / "flat.jsonl", FLAT))
    assert report.mapping == SampleMapping("prompt", ("response",), reference="gold", model="model")
    assert (report.num_prompts, report.num_samples, report.num_right) == (2, 4, 3)
    samples = read(warehouse, "samples")
    assert [(s["policy_id"], s["index"]) for s in samples] == [
        ("m1", 0), ("m2", 1), ("m1", 2), ("m1", 0),
    ]  # fmt: skip
    assert {s["purpose"] for s in samples} == {"imported"}
    assert report.num_compared == 0
    assert len(read(warehouse, "examples")) == 2
    assert len(read(warehouse, "pairs")) == 2


def test_the_same_import_again_gives_the_same_rows(tmp_path: Path) -> None:
    warehouse = Warehouse.open(tmp_path / "w")
    path = save(tmp_path / "flat.jsonl", FLAT)
    import_samples(warehouse, path)
    before = {table: read(warehouse, table) for table in TABLES}
    import_samples(warehouse, path)
    assert {table: read(warehouse, table) for table in TABLES} == before


def test_a_shorter_file_leaves_nothing_of_the_longer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.import_samples.ROWS_PER_SHARD", 1)
    warehouse = Warehouse.open(tmp_path / "w")
    import_samples(warehouse, save(tmp_path / "flat.jsonl", FLAT))
    report = import_samples(warehouse, save(tmp_path / "flat.jsonl", FLAT[:2]))
    assert (report.num_prompts, len(read(warehouse, "prompts"))) == (1, 1)
    assert len(read(warehouse, "samples")) == 2


def test_shards_are_bounded_and_change_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {
            "prompt": f"{i % 3}+1?",
            "responses": [f"A: {i % 3 + 1}", "x" * 300],
            "gold": str(i % 3 + 1),
        }
        for i in range(12)
    ]
    path = save(tmp_path / "rows.jsonl", rows)
    warehouse = Warehouse.open(tmp_path / "w")
    whole = import_samples(warehouse, path, run="whole")
    monkeypatch.setattr("tasks.import_samples.CHARACTERS_PER_SHARD", 1000)
    report = import_samples(warehouse, path, run="parts")
    assert len(warehouse.parts("samples", run="whole")) == 1
    assert len(warehouse.parts("samples", run="parts")) == 3
    assert (whole.num_prompts, report.num_prompts) == (3, 3), "prompts are known across shards"
    for table, columns in (("samples", ["prompt_id", "index", "text"]), ("prompts", ["id"])):
        one, other = (
            warehouse.read(table, run=run, columns=columns).to_pylist()
            for run in ("whole", "parts")
        )
        assert one == other
    assert list(warehouse.scratch_dir("parts", 1).glob("*.sqlite*")) == []


def test_a_conflict_with_a_row_of_an_earlier_shard_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.import_samples.ROWS_PER_SHARD", 1)
    rows = [*FLAT, {"prompt": "1+1?", "response": "A: 2", "model": "m1", "gold": "5"}]
    report = import_samples(Warehouse.open(tmp_path / "w"), save(tmp_path / "flat.jsonl", rows))
    assert (report.num_samples, [row.number for row in report.bad.first]) == (4, [5])


def test_hostile_texts_cost_their_row_or_nothing(tmp_path: Path) -> None:
    texts = ["A: 2\0", "x" * 5_000_000 + "\nA: 2", "half \ud800", "", "A: 2 \u202e\x1b[2J"]
    rows = [{"prompt": "1+1?", "response": text, "gold": "2"} for text in texts]
    rows += [{"prompt": "\udfff?", "response": "A: 2", "gold": "2"}]
    rows += [{"prompt": "1+1?", "response": "A: 2", "gold": "\ud800"}]
    warehouse = Warehouse.open(tmp_path / "w")
    report = import_samples(warehouse, save(tmp_path / "hostile.jsonl", rows))
    assert {row["text"] for row in read(warehouse, "samples")} == {texts[0], texts[1], texts[4]}
    reasons = {row.number: row.reason for row in report.bad.first}
    assert set(reasons) == {3, 4, 6, 7}
    assert "lone surrogate '\\ud800' at character 5" in reasons[3]
    assert "is empty" in reasons[4]


def test_several_completions_in_one_column(tmp_path: Path) -> None:
    rows = [
        {"question": "1+1?", "completions": ["A: 2", "A: 3", "so\nA: 2"]},
        {"question": "2+2?", "completions": []},
        {"question": "3+3?", "completions": ["A: 6", ""]},
    ]
    warehouse = Warehouse.open(tmp_path / "w")
    report = import_samples(warehouse, save(tmp_path / "many.jsonl", rows))
    assert (report.num_samples, report.num_answered) == (3, 3)
    assert [row.number for row in report.bad.first] == [2, 3]
    assert [row["messages"][0]["content"] for row in read(warehouse, "prompts")] == ["1+1?"]


def test_without_references_the_votes_make_the_pairs(tmp_path: Path) -> None:
    rows = [{"prompt": "1+1?", "response": text} for text in ("A: 2", "A: 2!", "A: 2 .", "A: 3")]
    warehouse = Warehouse.open(tmp_path / "w")
    report = import_samples(warehouse, save(tmp_path / "flat.jsonl", rows))
    assert report.selection is not None
    assert [s.name for s in report.selection.selections] == ["confident_majority", "vote_pairs"]
    (pair,) = read(warehouse, "pairs")
    assert pair["weight"] == 0.5
    assert [s for s in read(warehouse, "scores") if s["check"] == "reference"] == []


def test_bad_rows_are_kept_out_and_named(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        *FLAT,
        {"prompt": "", "response": "A: 1", "gold": "1"},
        {"prompt": "3+3?", "response": None, "gold": "6"},
        {"prompt": "1+1?", "response": "A: 2", "gold": "5"},
        {"prompt": ["x"], "response": "A: 2", "gold": "5"},
    ]
    path = save(tmp_path / "half.jsonl", rows)
    path.write_bytes(path.read_bytes() + b"{broken\n")
    report = import_samples(Warehouse.open(tmp_path / "w"), path)
    assert report.num_samples == 4
    found = {row.number: row.reason for row in report.bad.first}
    assert set(found) == {5, 6, 7, 8, 9}
    assert "the reference is '5', but a row before has the same prompt with '2'" in found[7]


def test_a_verdict_that_differs_is_listed(tmp_path: Path) -> None:
    rows = [
        {"prompt": "1+1?", "m": {"solution": "A: 2", "is_correct": True}, "gold": "2"},
        {"prompt": "2+2?", "m": {"solution": "A: 5", "is_correct": True}, "gold": "4"},
        {"prompt": "3+3?", "m": {"solution": "A: 6"}, "gold": "6"},
    ]
    report = import_samples(Warehouse.open(tmp_path / "w"), save(tmp_path / "wide.jsonl", rows))
    assert (report.num_compared, report.num_agreed) == (2, 1)
    (found,) = report.disagreements
    assert found == (2, "m", "5", "4", False, True)


def test_bad_mappings_stop_before_anything_is_written(tmp_path: Path) -> None:
    warehouse = Warehouse.open(tmp_path / "w")
    path = save(tmp_path / "flat.jsonl", FLAT)
    columns = "the columns are 'prompt', 'response', 'model', 'gold'"
    for mapping in (
        SampleMapping("question", ("response",)),
        SampleMapping("prompt", ("response.text",)),
        SampleMapping("prompt", ("response",), reference="answer"),
        SampleMapping("prompt", ("response",), verdict="is_correct"),
    ):
        with pytest.raises(UnknownNameError, match=columns):
            import_samples(warehouse, path, mapping)
    with pytest.raises(OptionError, match="name at least one column"):
        SampleMapping("prompt", ())
    with pytest.raises(ReferencesNotAllowedError):
        import_samples(
            warehouse, path, selections=[Selection("reference_correct")], allow_references=False
        )
    with pytest.raises(UnknownNameError, match="no parameter"):
        import_samples(warehouse, path, selections=[Selection("vote_pairs", {"k": 1})])
    assert all(read(warehouse, table) == [] for table in TABLES)


def test_unusable_files_are_named(tmp_path: Path) -> None:
    warehouse = Warehouse.open(tmp_path / "w")
    with pytest.raises(UnknownNameError, match="can't tell which column is the completion"):
        guess_mapping(save(tmp_path / "a.jsonl", [{"prompt": "1", "text": "2"}]))
    with pytest.raises(UnknownNameError, match="can't tell which column is the prompt"):
        guess_mapping(save(tmp_path / "b.jsonl", [{"x": "1", "response": "2"}]))
    broken = tmp_path / "c.jsonl"
    broken.write_text("{nonsense\n")
    with pytest.raises(DataFormatError, match="row 1: not JSON"):
        guess_mapping(broken)
    blank = save(tmp_path / "d.jsonl", [{"prompt": " ", "response": "A: 1"}])
    with pytest.raises(DataFormatError, match="nothing to import"):
        import_samples(warehouse, blank)


def test_an_import_does_not_mix_with_a_round(tmp_path: Path) -> None:
    warehouse = Warehouse.open(tmp_path / "w")
    warehouse.write("samples", [], run="mine", round=1, part="program-0000")
    with pytest.raises(OptionError, match="already has samples"):
        import_samples(warehouse, save(tmp_path / "flat.jsonl", FLAT), run="mine")
