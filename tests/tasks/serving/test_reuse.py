"""Nothing that is the same is asked twice, and nothing that is not the same is reused."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from storage import Warehouse, diff_tables
from tasks.ask import Chain, DrawRule, Sample, ask_shard
from tasks.ask.parsers import AnswerParser, VerdictParser
from tasks.engines import Structure
from tasks.environments import Problem
from tasks.sampling import SampleKey, SamplingSpec, sample_shard
from tests.tasks.ask.scripted import all_rows, sums, write_problems
from tests.tasks.serving.conftest import (
    Engines,
    change_weights,
    in_place_of_transformers,
    keeper_for,
    model_in,
)

N = 4
PROBLEMS = sums(5)
SPEC = SamplingSpec(n=N, temperature=0.7, max_new_tokens=9)
TEXT = {"messages": [{"role": "user", "content": "{{ messages[0].content }} {{ hint }}"}]}
PLAN = Sample.model_validate(
    {"role": "plan", "template": TEXT, "constants": {"hint": "so"}, **SPEC.model_dump()}
)
CHAIN = Chain(
    links=(
        PLAN,
        Sample(
            role="critique",
            template={"messages": [{"role": "user", "content": "{{ plan }}!"}]},
            n=2,
            parser=VerdictParser(),
        ),
    )
)


@dataclass
class Setting:
    """What a run asks, and with what; the first run has the defaults."""

    house: Warehouse
    folder: Path
    run: str = "first"
    number: int = 1
    seed: int = 3
    what: Sample | Chain | SamplingSpec = SPEC
    problems: list[Problem] = field(default_factory=lambda: PROBLEMS)
    options: dict[str, object] = field(default_factory=dict)
    reuse: bool = True

    def draw(self, part: str = "p-0000") -> list[dict[str, Any]]:
        """Ask, seal, and read the rows of the part."""
        key = SampleKey(self.run, self.number, "train", "answer", f"{self.run}-base")
        place: dict[str, Any] = {"run": self.run, "round": self.number}
        keeper = keeper_for(self.house, self.run, self.number, reuse=self.reuse, **self.options)
        with keeper:
            engine = keeper.of(model_in(self.folder))
            given: dict[str, Any] = {"seed": self.seed, "part": part}
            if isinstance(self.what, SamplingSpec) and not isinstance(self.what, Sample):
                sample_shard(self.house, engine, self.problems, self.what, key, **given)
            else:
                if not self.house.parts("prompts", run=self.run):
                    write_problems(self.house, self.problems, run=self.run)
                rows = all_rows(self.house, run=self.run)  # of round 1, whatever round asks
                ask_shard(self.house, engine, self.what, rows, key, **given)
        self.house.seal("samples", [part], **place)
        return list(self.house.read("samples", **place, part=part).to_pylist())


@pytest.fixture
def first(tmp_path: Path, tiny_llama: Path, engines: Engines) -> Setting:
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    return Setting(Warehouse.open(tmp_path / "w"), folder)


def plan(**changes: Any) -> Sample:
    return Sample.model_validate(PLAN.model_dump() | changes)


def change_chat(folder: Path) -> None:
    with (folder / "chat_template.jinja").open("a", encoding="utf-8") as template:
        template.write("{# other #}")


def change_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("<user>", "<human>"), encoding="utf-8")


@pytest.mark.parametrize("what", [SPEC, PLAN, CHAIN], ids=["sample", "ask", "chain"])
def test_a_run_of_another_name_asks_nobody(
    first: Setting, engines: Engines, what: Sample | Chain | SamplingSpec
) -> None:
    drawn = replace(first, what=what).draw()
    assert engines.asked() and len(engines.opened) == 1
    copies = replace(first, what=what, run="second").draw()
    assert engines.asked() == [] and len(engines.opened) == 1
    assert [row["reused_from"] for row in copies] == [row["id"] for row in drawn]
    assert {row["reused_from"] for row in drawn} == {None}
    own = {"id", "run", "policy_id", "parent_ids", "reused_from"}
    for before, after in zip(drawn, copies, strict=True):
        assert before["id"] != after["id"] and after["policy_id"] == "second-base"
        assert {k: v for k, v in before.items() if k not in own} == {
            k: v for k, v in after.items() if k not in own
        }


@pytest.fixture(scope="module")
def planned(
    tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path
) -> Iterator[tuple[Setting, Engines]]:
    """One run that asked, and its engines; others may be added."""
    with pytest.MonkeyPatch.context() as patch:
        engines = in_place_of_transformers(patch)
        house = Warehouse.open(tmp_path_factory.mktemp("planned") / "w")
        setting = Setting(house, tiny_llama, what=PLAN)
        setting.draw()
        assert len(engines.asked()) == len(PROBLEMS)
        yield setting, engines


@pytest.mark.parametrize(
    "changes",
    [
        {"what": plan(temperature=0.8)},
        {"what": plan(top_p=0.9)},
        {"what": plan(top_k=3)},
        {"what": plan(max_new_tokens=8)},
        {"what": plan(stop=("x",))},
        {"what": plan(structure=Structure(json_schema='{"type": "string"}'))},
        {"what": plan(constants={"hint": "thus"})},
        {"what": plan(template={"messages": [*TEXT["messages"], *TEXT["messages"]]})},
        {"what": plan(role="idea")},
        {"what": plan(turn=1)},
        {"what": plan(n=N + 1)},
        {"seed": 4},
        {"number": 2},
        {"options": {"dtype": "bfloat16"}},
        {"reuse": False},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_another_request_is_asked(
    planned: tuple[Setting, Engines], changes: dict[str, Any]
) -> None:
    setting, engines = planned
    run = f"run-{len(setting.house.parts('samples'))}"
    rows = replace(setting, **{"run": run, **changes}).draw()
    assert len(engines.asked()) == len(PROBLEMS)
    assert {row["reused_from"] for row in rows} == {None}


@pytest.mark.parametrize("change", [change_weights, change_chat, change_tokenizer])
def test_another_model_is_asked(
    first: Setting, engines: Engines, change: Callable[[Path], None]
) -> None:
    first.draw()
    change(first.folder)
    engines.asked()
    rows = replace(first, run="second").draw()
    assert len(engines.asked()) == len(PROBLEMS)
    assert {row["reused_from"] for row in rows} == {None}


def test_a_changed_template_that_seeds_do_not_know_of_is_asked_too(
    first: Setting, engines: Engines
) -> None:
    """Greedy samples have no use for their seed: only the text tells them apart."""
    replace(first, what=plan(temperature=0.0)).draw()
    engines.asked()
    template = {"messages": [{"role": "user", "content": "{{ messages[0].content }}"}]}
    replace(first, what=plan(temperature=0.0, template=template), run="second").draw()
    assert len(engines.asked()) == len(PROBLEMS)


def test_greedy_samples_are_the_same_in_every_round_and_for_every_seed(
    first: Setting, engines: Engines
) -> None:
    greedy = SPEC.model_copy(update={"temperature": 0.0, "n": 1})
    (drawn, *_) = replace(first, what=greedy).draw()
    engines.asked()
    several = greedy.model_copy(update={"n": 3})
    rows = replace(first, what=several, run="second", number=5, seed=77).draw()
    assert engines.asked() == []
    assert [(row["index"], row["reused_from"]) for row in rows[:3]] == [
        (index, drawn["id"]) for index in range(3)
    ]
    assert len({row["seed"] for row in rows}) == len(rows) == 15


def test_fewer_samples_are_the_first_of_more(first: Setting, engines: Engines) -> None:
    drawn = first.draw()
    engines.asked()
    rows = replace(first, run="second", what=SPEC.model_copy(update={"n": 2})).draw()
    assert engines.asked() == []
    assert [row["reused_from"] for row in rows] == [row["id"] for row in drawn if row["index"] < 2]


def test_a_group_that_ended_early_is_the_beginning_of_a_whole_one(
    first: Setting, engines: Engines
) -> None:
    engines.script = lambda question, seed: f"A: {0 if question[0] in '12' else seed % 4}"
    whole = plan(parser=AnswerParser())
    early = plan(parser=AnswerParser(), draw=DrawRule(chunk=3))
    drawn = replace(first, what=early).draw()
    num_stopped = 5 - sum(row["index"] == N - 1 for row in drawn)
    assert num_stopped >= 2
    engines.asked()
    rows = replace(first, what=whole, run="second").draw()
    assert len(engines.asked()) == num_stopped  # a whole group comes from one place
    texts = {(row["prompt_id"], row["index"]): row["text"] for row in rows}
    assert all(texts[row["prompt_id"], row["index"]] == row["text"] for row in drawn)
    again = replace(first, what=early, run="third").draw()
    assert engines.asked() == [] and len(again) == len(drawn)
    assert [row["reused_from"] for row in again] == [row["id"] for row in drawn]


def test_only_what_is_new_is_asked_and_copies_are_of_what_was_drawn(
    first: Setting, engines: Engines
) -> None:
    drawn = replace(first, problems=PROBLEMS[:3]).draw()
    engines.asked()
    second = replace(first, run="second").draw()
    assert {request.id for request in engines.asked()} == {"p4", "p5"}
    third = replace(first, run="third").draw()
    assert engines.asked() == []
    originals = [row["id"] for row in (*drawn, *second) if row["reused_from"] is None]
    assert [row["reused_from"] for row in third] == originals


def test_an_error_is_asked_again(first: Setting, engines: Engines) -> None:
    engines.script = lambda question, seed: None if question == "2+2?" and seed % 4 == 3 else "x"
    rows = first.draw()
    assert [row["prompt_id"] for row in rows if row["status"] == "error"] == ["p2"]
    engines.asked()
    engines.script = lambda question, seed: "y"
    rows = replace(first, run="second").draw()
    assert [request.id for request in engines.asked()] == ["p2"]
    assert {row["text"] for row in rows if row["prompt_id"] == "p2"} == {"y"}
    assert {row["status"] for row in rows} == {"ok"}


def test_a_rounds_own_samples_are_not_looked_up(first: Setting, engines: Engines) -> None:
    """Whether an earlier shard is in the tables by then depends on the clock."""
    greedy = SPEC.model_copy(update={"temperature": 0.0})
    twins = [replace(problem, id=f"twin of {problem.id}") for problem in PROBLEMS]
    replace(first, what=greedy).draw()
    rows = replace(first, what=greedy, problems=twins).draw("p-0001")
    assert {row["reused_from"] for row in rows} == {None}
    assert len(engines.asked()) == 2 * len(PROBLEMS)


def test_the_tables_are_the_same_with_and_without_reuse(
    first: Setting, engines: Engines, tmp_path: Path
) -> None:
    replace(first, what=CHAIN, problems=PROBLEMS[:3]).draw()
    alone = Warehouse.open(tmp_path / "alone")
    for house in (first.house, alone):
        replace(first, what=CHAIN, run="second", house=house).draw()
    assert diff_tables(first.house, alone, run="second") == []


@pytest.mark.parametrize(("what", "fail_after"), [(SPEC, 1), (CHAIN, 1), (CHAIN, 5)])
def test_a_shard_that_was_interrupted_ends_the_same(
    first: Setting,
    engines: Engines,
    tmp_path: Path,
    what: Chain | SamplingSpec,
    fail_after: int,
) -> None:
    replace(first, what=what, problems=PROBLEMS[:3]).draw()
    engines.asked()
    second = replace(first, what=what, run="second")
    broken = Warehouse.open(Path(shutil.copytree(first.house.root, tmp_path / "broken")))
    second.draw()
    num_asked = len(engines.asked())
    engines.fail_after = fail_after
    with pytest.raises(KeyboardInterrupt):
        replace(second, house=broken).draw()
    engines.fail_after = None
    replace(second, house=broken).draw()
    assert len(engines.asked()) == num_asked and engines.log.count("open model") == 4
    rows = [house.read("samples", run="second") for house in (first.house, broken)]
    assert rows[0] == rows[1]  # reused_from as well
    assert 0 < rows[0].column("reused_from").null_count < rows[0].num_rows


def samples_file(house: Warehouse) -> Path:
    (part,) = house.parts("samples")
    assert isinstance(part.path, Path)
    return part.path


def test_a_file_that_can_not_be_read_costs_the_reuse_and_nothing_else(
    first: Setting, engines: Engines, caplog: pytest.LogCaptureFixture
) -> None:
    first.draw()
    path = samples_file(first.house)
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)  # the footer stays
    path.write_bytes(content)
    engines.asked()
    rows = replace(first, run="second").draw()
    assert len(engines.asked()) == len(PROBLEMS) and {row["status"] for row in rows} == {"ok"}
    assert "can't be read, so none is reused" in caplog.text


def test_files_of_before_the_digest_answer_nothing(first: Setting, engines: Engines) -> None:
    import pyarrow.parquet as pq

    first.draw()
    path = samples_file(first.house)
    pq.write_table(pq.read_table(path).drop_columns(["request_digest", "reused_from"]), path)
    engines.asked()
    rows = replace(first, run="second").draw()
    assert len(engines.asked()) == len(PROBLEMS) == len(rows) / N
    engines.asked()
    replace(first, run="third").draw()
    assert engines.asked() == []


def test_a_copy_leads_to_what_it_is_a_copy_of_and_back(first: Setting, engines: Engines) -> None:
    (drawn, *_) = first.draw()
    (copy, *_) = replace(first, run="second").draw()
    with first.house.connect() as con:
        steps = con.execute(
            "SELECT relation, id, run, policy_id FROM lineage($id) WHERE table_name = 'samples'",
            {"id": copy["id"]},
        ).fetchall()
        came_of_it = con.execute(
            "SELECT relation, run FROM learned_from($id) WHERE id = $copy",
            {"id": drawn["id"], "copy": copy["id"]},
        ).fetchall()
    assert steps == [
        ("self", copy["id"], "second", "second-base"),
        ("reused sample", drawn["id"], "first", "first-base"),
    ]
    assert came_of_it == [("child sample", "second")]


def test_samples_of_a_warehouse_in_an_object_store_are_reused(
    first: Setting, engines: Engines, object_store: str
) -> None:
    remote = replace(first, house=Warehouse.open(f"{object_store}/reuse"))
    drawn = remote.draw()
    engines.asked()
    rows = replace(remote, run="second").draw()
    assert engines.asked() == []
    assert [row["reused_from"] for row in rows] == [row["id"] for row in drawn]
