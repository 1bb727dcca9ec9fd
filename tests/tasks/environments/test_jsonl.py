"""Problems from a user's own table: mapped columns, bad rows named, files of every kind."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.environments.base import prompt_key
from tasks.environments.jsonl import Jsonl
from tasks.errors import DataFormatError, OptionError, SourceError, UnknownNameError

ROWS = [{"q": f"What is {i} + {i}?", "a": f"{2 * i}.0", "level": i % 3 + 1} for i in range(60)]


def save(folder: Path, kind: str) -> Path:
    """The rows as a file of a kind."""
    path = folder / f"data.{kind}"
    match kind:
        case "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
        case "jsonl.gz":
            text = "".join(json.dumps(row) + "\n" for row in ROWS)
            path.write_bytes(gzip.compress(text.encode()))
        case "json":
            path.write_text(json.dumps(ROWS), encoding="utf-8")
        case "parquet":
            pq.write_table(pa.Table.from_pylist(ROWS), path)
        case "csv" | "tsv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, ROWS[0], delimiter="\t" if kind == "tsv" else ",")
                writer.writeheader()
                writer.writerows(ROWS)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "json", "parquet", "csv", "tsv"])
def test_the_kind_of_file_does_not_matter(tmp_path: Path, kind: str) -> None:
    environment = Jsonl(save(tmp_path, kind), question="q", reference="a", difficulty="level")
    expected = Jsonl(save(tmp_path, "json"), question="q", reference="a", difficulty="level")
    for split in ("train", "heldout"):
        found = [(p.id, p.messages, p.reference, p.difficulty) for p in environment.problems(split)]
        assert found == [
            (p.id, p.messages, p.reference, p.difficulty) for p in expected.problems(split)
        ]
    assert environment.num_bad_rows == 0


def test_splits_share_nothing_and_are_drawn_by_seed(tmp_path: Path) -> None:
    environment = Jsonl(save(tmp_path, "jsonl"), question="q", heldout_share=0.5)
    train, heldout = environment.problems("train"), environment.problems("heldout")
    assert len(train) + len(heldout) == 60
    assert min(len(train), len(heldout)) > 10
    assert not {prompt_key(p.messages) for p in train} & {prompt_key(p.messages) for p in heldout}
    assert environment.problems("train", 5, 1) == environment.problems("train", 5, 1)
    assert environment.problems("train", 5, 1) != environment.problems("train", 5, 2)
    assert environment.problems("train", 9, 1)[:5] == environment.problems("train", 5, 1)


def test_a_heldout_prompt_never_trains(tmp_path: Path) -> None:
    train, heldout = tmp_path / "train.jsonl", tmp_path / "heldout.jsonl"
    train.write_text('{"q": "one  apple?"}\n{"q": "two?"}\n{"q": "TWO?"}\n')
    heldout.write_text('{"q": "One apple?"}\n')
    environment = Jsonl(train, question="q", heldout_path=heldout)
    assert [p.messages[0]["content"] for p in environment.problems("train")] == ["two?"]
    assert [p.messages[0]["content"] for p in environment.problems("heldout")] == ["One apple?"]


def test_difficulties_choose_problems(tmp_path: Path) -> None:
    environment = Jsonl(save(tmp_path, "jsonl"), question="q", difficulty="level", heldout_share=0)
    assert {p.difficulty for p in environment.problems("train", difficulties=(2, 3))} == {2, 3}
    with pytest.raises(OptionError, match="has 20 train problems of difficulties"):
        environment.problems("train", 21, difficulties=(2,))
    with pytest.raises(UnknownNameError, match="there are train, heldout"):
        environment.problems("test")


def test_bad_rows_are_kept_out_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "half.jsonl"
    lines = [
        b'{"q": "good?", "a": "1", "level": 1}',
        b'{"q": "cut of',
        b"",
        b'["a", "list"]',
        b'{"q": "\xff\xfe"}',
        b'{"q": "   "}',
        b'{"a": "no question"}',
        b'{"q": 7}',
        b'{"q": "level?", "level": "hard"}',
        b"[" * 100_000,
        b'{"q": "also good?"}',
    ]
    path.write_bytes(b"\n".join(lines))
    with caplog.at_level("WARNING", logger="selfloom"):
        environment = Jsonl(path, question="q", reference="a", difficulty="level", heldout_share=0)
    texts = {p.messages[0]["content"]: p.reference for p in environment.problems("train")}
    assert texts == {"good?": "1", "also good?": None}
    assert environment.num_bad_rows == 8
    found = {row.number: row.reason for row in environment.bad_rows}
    assert set(found) == {2, 4, 5, 6, 7, 8, 9, 10}
    assert "not JSON" in found[2]
    assert "expected an object" in found[4]
    assert "not UTF-8" in found[5]
    assert "is empty" in found[6]
    assert "'hard', expected an integer" in found[9]
    assert "8 bad rows kept out" in caplog.text


def test_bad_csv_rows_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b'q,a\n"two\nlines?",1\nshort\n\xff?,2\nfine?,3\n')
    environment = Jsonl(path, question="q", reference="a", heldout_share=0)
    assert len(environment.problems("train")) == 2
    assert [row.number for row in environment.bad_rows] == [4, 5]


def test_unknown_column_lists_the_columns(tmp_path: Path) -> None:
    path = save(tmp_path, "jsonl")
    with pytest.raises(
        UnknownNameError, match=r"no column 'query'; the columns are 'q', 'a', 'level'"
    ):
        Jsonl(path, question="query")
    with pytest.raises(UnknownNameError, match="no column 'gold'"):
        Jsonl(path, question="q", reference="gold")


def test_unreadable_sources_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        Jsonl(tmp_path / "missing.jsonl", question="q")
    broken = tmp_path / "broken.jsonl"
    broken.write_text("nonsense\nmore\n")
    with pytest.raises(DataFormatError, match=r"2 bad rows kept out: row 1: not JSON"):
        Jsonl(broken, question="q")
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(DataFormatError, match="no rows"):
        Jsonl(empty, question="q")
    fake = tmp_path / "fake.parquet"
    fake.write_text("not parquet")
    with pytest.raises(DataFormatError, match="not a Parquet file"):
        Jsonl(fake, question="q")
    zipped = tmp_path / "fake.jsonl.gz"
    zipped.write_text("not gzip")
    with pytest.raises(SourceError, match="can't be read"):
        Jsonl(zipped, question="q")
    other = tmp_path / "data.xlsx"
    other.touch()
    with pytest.raises(DataFormatError, match="should end in"):
        Jsonl(other, question="q")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "neither given"),
        ({"question": "q", "messages": "m"}, "both given"),
        ({"question": "q", "template": "no place"}, "needs {question}"),
        ({"question": "q", "heldout_share": 1.5}, r"must be in \[0, 1\]"),
        ({"question": "q", "answer_format": "poem"}, "one of 'text', 'program'"),
        ({"question": "q", "answer_kind": "word"}, "one of 'number', 'text'"),
    ],
)
def test_bad_options_stop_before_reading(options: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Jsonl("missing.jsonl", **options)  # type: ignore[arg-type]


def test_messages_columns_end_with_the_user(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    chat = [{"role": "user", "content": "hi {x}?"}, {"role": "assistant", "content": "hello"}]
    rows = [
        {"m": chat},
        {"m": json.dumps(chat[:1] + chat)},
        {"m": chat[1:]},
        {"m": [{"role": "me"}]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    environment = Jsonl(path, messages="m", system="Be brief.", heldout_share=0)
    roles = sorted([m["role"] for m in p.messages] for p in environment.problems("train"))
    assert roles == [["system", "user"], ["system", "user", "user"]]
    assert [row.number for row in environment.bad_rows] == [3, 4]


def test_template_and_program_answers(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"q": "What is {x}?"}\n')
    environment = Jsonl(
        path, question="q", template="Q: {question}!", answer_format="program", heldout_share=0
    )
    (problem,) = environment.problems("train")
    assert problem.messages == [{"role": "user", "content": "Q: What is {x}?!"}]
    assert environment.parse_answer("debug\n 42 \n") == "42"
    assert environment.parse_answer("\n") is None
    assert environment.canonical("42.0") == "42"


def test_a_folder_loads_through_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    save(folder, "parquet").rename(folder / "train.parquet")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    environment = Jsonl(folder, question="q", reference="a", heldout_share=0)
    assert len(environment.problems("train")) == 60
