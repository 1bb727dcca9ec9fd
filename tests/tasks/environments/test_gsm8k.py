"""GSM8K as published: every row readable, every reference a number, splits disjoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.environments import load_environment
from tasks.environments.base import prompt_key
from tasks.environments.gsm8k import GSM8K
from tasks.errors import DataFormatError, OptionError, SourceError, UnknownNameError

ROW = '{"question": "1 + 1?", "answer": "1 + 1 = <<1+1=2>>2\\n#### 2"}\n'


def test_the_published_files(shared_data: Path) -> None:
    environment = load_environment("gsm8k", {"path": str(shared_data / "gsm8k")})
    assert isinstance(environment, GSM8K)
    train, heldout = environment.problems("train"), environment.problems("heldout")
    assert (len(train), len(heldout), environment.num_bad_rows) == (7473, 1319, 0)
    assert not {prompt_key(p.messages) for p in train} & {prompt_key(p.messages) for p in heldout}
    assert len({p.id for p in train + heldout}) == 8792
    for problem in train + heldout:
        assert problem.reference is not None
        assert float(problem.reference) == int(problem.reference)
        assert "####" not in problem.messages[-1]["content"].split("\n\nThink")[0]
    assert {p.difficulty for p in environment.problems("train", 40, difficulties=(2, 3))} == {2, 3}


def test_answers_in_a_completion(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(ROW)
    (tmp_path / "test.jsonl").write_text(ROW.replace("1 + 1?", "2 + 0?"))
    environment = GSM8K(tmp_path, system="Be brief.")
    (problem,) = environment.problems("heldout")
    assert [m["role"] for m in problem.messages] == ["system", "user"]
    assert problem.reference == "2"
    answer = environment.parse_answer("It is 1 + 1 = 2.\n#### $2.00")
    assert answer is not None
    assert environment.canonical(answer) == "2"
    assert environment.parse_answer("It is 2") is None
    assert GSM8K(tmp_path, guess_last_number=True).parse_answer("It is 2") == "2"


def test_a_problem_in_both_files_is_held_out(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(ROW + ROW.replace("1 + 1?", "2 + 0?"))
    (tmp_path / "test.jsonl").write_text(ROW)
    environment = GSM8K(tmp_path)
    assert [len(environment.problems(split)) for split in ("train", "heldout")] == [1, 1]
    assert environment.problems("train")[0].messages[0]["content"].startswith("2 + 0?")


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no file train\.jsonl"):
        GSM8K(tmp_path)
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    train.write_text('{"question": "1 + 1?", "answer": "two"}\n')
    with pytest.raises(DataFormatError, match="row 1: column 'answer' has no final answer"):
        GSM8K(tmp_path)
    train.write_text('{"problem": "1 + 1?", "answer": "#### 2"}\n')
    with pytest.raises(UnknownNameError, match="no column 'question'; the columns are 'problem'"):
        GSM8K(tmp_path)
    train.write_text(ROW)
    test.write_text(ROW + "{broken\n")
    environment = GSM8K(tmp_path)
    assert [row.number for row in environment.bad_rows] == [2]
    with pytest.raises(SourceError, match="is a file"):
        GSM8K(train)
    with pytest.raises(OptionError, match=r"needs \{question\}"):
        GSM8K(tmp_path, template="none")
