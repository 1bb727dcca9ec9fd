"""Asking: rows with their parents, chains that go on by themselves, and nothing asked twice."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from storage import Warehouse
from tasks.ask import (
    Chain,
    DrawRule,
    RowSource,
    Sample,
    Template,
    ask_shard,
    draw_report,
    parse_shard,
)
from tasks.ask.parsers import AnswerParser, Parsed, VerdictParser
from tasks.checks.votes import vote
from tasks.engines import Engine, open_engine
from tasks.errors import DataFormatError, OptionError, TemplateError, UnknownNameError
from tests.tasks.ask.scripted import KEY, ScriptedEngine, all_rows, sums, write_problems

MEASURES = ["sum_logprob", "mean_logprob", "min_logprob", "mean_entropy", "mean_self_certainty"]
PROBLEMS = sums(6)
ANSWER = Sample(role="answer", template="as_is", n=2, temperature=1.0, max_new_tokens=4)
CRITIQUE = Sample(
    role="critique",
    template={"messages": [{"role": "user", "content": "{{ problem }} {{ answer }}"}]},
    parser=VerdictParser(),
    n=2,
    max_new_tokens=4,
)
REFINE = Sample(
    role="refinement",
    template={"messages": [{"role": "user", "content": "{{ previous }}|{{ answer }}"}]},
    max_new_tokens=4,
    n=1,
)
CHAIN = Chain(links=(ANSWER, CRITIQUE, REFINE), wave=7)


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    w = Warehouse.open(tmp_path / "w")
    write_problems(w, PROBLEMS)
    return w


@pytest.fixture(scope="module")
def engine(tiny_llama: Path) -> Iterator[Engine]:
    with open_engine("transformers", tiny_llama) as opened:
        yield opened


def rows_of(w: Warehouse, part: str, run: str = "r") -> list[dict[str, object]]:
    table = w.read("samples", run=run, round=1, part=part).drop_columns(MEASURES)
    return list(table.to_pylist())


def seal(w: Warehouse, *parts: str) -> None:
    for table in ("samples", "scores"):
        w.seal(table, parts, run="r", round=1)


def test_a_chain_on_a_real_model_writes_every_link(house: Warehouse, engine: Engine) -> None:
    ask_shard(house, engine, CHAIN, all_rows(house), KEY, seed=3, part="a-0000")
    rows = rows_of(house, "a-0000")
    assert [row["role"] for row in rows].count("answer") == 12
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows) == 12 + 24 + 24
    assert len({row["seed"] for row in rows}) == len(rows)
    for row in rows:
        parents = [by_id[parent] for parent in row["parent_ids"]]  # type: ignore[attr-defined]
        roles = ["answer", "critique", "refinement"]
        assert [p["role"] for p in parents] + [row["role"]] == roles[: len(parents) + 1]
        assert row["turn"] == len(parents)
        assert {p["prompt_id"] for p in parents} <= {row["prompt_id"]}
        assert row["weight_hash"] == engine.weight_hash and row["policy_id"] == "model"


def test_a_part_of_the_rows_gives_what_the_whole_gives(house: Warehouse, engine: Engine) -> None:
    source = all_rows(house)
    ask_shard(house, engine, CHAIN, source, KEY, seed=3, part="a-0000")
    ask_shard(house, engine, CHAIN, source[2:4], KEY, seed=3, part="b-0000")
    whole = {row["id"]: row for row in rows_of(house, "a-0000")}
    part = rows_of(house, "b-0000")
    assert part == [whole[row["id"]] for row in part] and len(part) == len(whole) / 3


def test_a_run_of_another_name_draws_the_same_texts(house: Warehouse, engine: Engine) -> None:
    write_problems(house, PROBLEMS, run="s")
    for run in ("r", "s"):
        rows = all_rows(house, run=run)
        ask_shard(house, engine, CHAIN, rows, replace(KEY, run=run), seed=3, part="a-0000")
    mine, other = rows_of(house, "a-0000"), rows_of(house, "a-0000", run="s")
    assert [row["text"] for row in mine] == [row["text"] for row in other]
    assert not {row["id"] for row in mine} & {row["id"] for row in other}


def test_seeds_follow_role_template_turn_and_row(house: Warehouse) -> None:
    engine = ScriptedEngine(lambda question, seed: "x")
    changed = ANSWER.template.model_copy(update={"messages": CRITIQUE.template.messages})
    asks = [
        ANSWER,
        ANSWER.model_copy(update={"role": "plan"}),
        ANSWER.model_copy(update={"turn": 1}),
        ANSWER.model_copy(update={"template": changed, "constants": {"answer": "x"}}),
        ANSWER.model_copy(update={"temperature": 0.5}),
    ]
    for number, ask in enumerate(asks):
        ask_shard(house, engine, ask, all_rows(house), KEY, seed=3, part=f"a-{number:04d}")
    more = ANSWER.model_copy(
        update={"n": 3, "draw": DrawRule(stop="never"), "parser": AnswerParser()}
    )
    ask_shard(house, engine, more, all_rows(house), KEY, seed=3, part="b-0000")
    seeds = [{row["seed"] for row in rows_of(house, f"a-{n:04d}")} for n in range(len(asks))]
    assert len(set().union(*seeds)) == 12 * len(asks)
    assert seeds[0] < {row["seed"] for row in rows_of(house, "b-0000")}


def answers(question: str, seed: int) -> str | None:
    """Two answers of three are right; critiques know; the refinement repeats what it saw."""
    if question.endswith("?"):
        return None if question.startswith("5") else f"A: {seed % 3}"
    if "|" in question:
        return question
    return "Verdict: correct" if question.endswith("0") else "Verdict: incorrect"


def test_later_links_start_before_the_first_one_has_ended(house: Warehouse) -> None:
    engine = ScriptedEngine(answers)
    ask_shard(house, engine, CHAIN, all_rows(house), KEY, seed=3, part="a-0000")
    roles = ["|" in r.messages[-1]["content"] for r in engine.asked]
    is_first = [r.messages[-1]["content"].endswith("?") for r in engine.asked]
    assert roles.index(True) < len(is_first) - 1 - is_first[::-1].index(True)
    assert max(engine.waves) <= CHAIN.wave


def test_only_what_was_judged_so_goes_on_and_errors_end_their_chain(house: Warehouse) -> None:
    chain = Chain(links=(ANSWER, CRITIQUE, REFINE.model_copy(update={"when": ("no",)})))
    ask_shard(house, ScriptedEngine(answers), chain, all_rows(house), KEY, seed=3, part="a-0000")
    parse_shard(house, chain, run="r", round=1, part="a-0000")
    seal(house, "a-0000")
    with house.connect() as con:
        critiques = con.sql(
            "SELECT s.label, count(*), count(r.id) FROM samples AS c "
            "JOIN scores AS s ON s.sample_id = c.id AND s.\"check\" = 'critique' "
            "LEFT JOIN samples AS r ON r.role = 'refinement' AND r.parent_ids[2] = c.id "
            "GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        errors = con.sql("SELECT prompt_id, error, role FROM samples WHERE status = 'error'")
        assert errors.fetchall() == [("p5", "scripted: no answer", "answer")] * 2
    (no, num_no, refined), (yes, num_yes, kept) = critiques
    assert (no, yes) == ("no", "yes") and num_no == refined > 0 and num_yes > kept == 0
    assert num_no + num_yes == 5 * 2 * 2


@pytest.mark.parametrize("draw", [None, DrawRule(chunk=1, n_max=4)])
def test_what_was_answered_before_a_crash_is_not_asked_again(
    tmp_path: Path, draw: DrawRule | None
) -> None:
    first = ANSWER.model_copy(update={"draw": draw, "parser": AnswerParser()})
    chain = CHAIN.model_copy(update={"links": (first, CRITIQUE, REFINE)})
    whole, broken = Warehouse.open(tmp_path / "whole"), Warehouse.open(tmp_path / "broken")
    engines = []
    for w in (whole, broken):
        write_problems(w, PROBLEMS)
    while not broken.has("samples", run="r", round=1, part="a-0000"):
        engine = ScriptedEngine(answers)
        engine.fail_after = 3
        engines.append(engine)
        with suppress(KeyboardInterrupt):
            ask_shard(broken, engine, chain, all_rows(broken), KEY, seed=3, part="a-0000")
    uninterrupted = ScriptedEngine(answers)
    ask_shard(whole, uninterrupted, chain, all_rows(whole), KEY, seed=3, part="a-0000")
    asked = [request for engine in engines for request in engine.asked]
    assert len(engines) > 5 and asked == uninterrupted.asked
    assert rows_of(whole, "a-0000") == rows_of(broken, "a-0000")
    assert not list(broken.root.rglob("*.journal"))
    ask_shard(broken, ScriptedEngine(answers), chain, all_rows(broken), KEY, seed=3, part="a-0000")


def test_other_settings_do_not_take_over_a_half_done_shard(house: Warehouse) -> None:
    engine = ScriptedEngine(answers)
    engine.fail_after = 3
    with pytest.raises(KeyboardInterrupt):
        ask_shard(house, engine, CHAIN, all_rows(house), KEY, seed=3, part="a-0000")
    engine.fail_after = None
    hotter = CHAIN.model_copy(
        update={"links": (ANSWER, CRITIQUE, REFINE.model_copy(update={"temperature": 2.0}))}
    )
    fresh = ScriptedEngine(answers)
    ask_shard(house, fresh, hotter, all_rows(house), KEY, seed=3, part="a-0000")
    assert len({request.id for request in fresh.asked}) == len(fresh.asked) == 6 + 10 + 20


def test_an_early_end_saves_samples_and_changes_no_vote(house: Warehouse) -> None:
    """Two thirds say 0: groups end early, and what was drawn begins the full group."""

    def script(question: str, seed: int) -> str:
        return f"A: {max(0, seed % 6 - 3)}"

    full = ANSWER.model_copy(update={"n": 16, "parser": AnswerParser(), "check": "answer"})
    rule = DrawRule(chunk=3)
    early = full.model_copy(update={"draw": rule})
    winners, texts = [], []
    for part, ask in (("full", full), ("early", early)):
        w = Warehouse.open(house.root.parent / part)
        write_problems(w, PROBLEMS)
        engine = ScriptedEngine(script)
        ask_shard(w, engine, ask, all_rows(w), KEY, seed=3, part="a-0000")
        parse_shard(w, ask, run="r", round=1, part="a-0000")
        seal(w, "a-0000")
        vote(w, run="r", round=1)
        with w.connect() as con:
            winners.append(con.sql("SELECT prompt_id, answer FROM votes WHERE rank = 1").fetchall())
        texts.append([(r["prompt_id"], r["index"], r["seed"], r["text"]) for r in w_rows(w)])
        report = draw_report(w, rule, 16, run="r", round=1, role="answer")
        assert report.num_drawn == sum(request.n for request in engine.asked) == len(texts[-1])
        assert report.num_groups == 6 and report.num_extended == 0
        assert report.num_saved == 6 * 16 - report.num_drawn
        assert report.tokens_drawn == 2 * report.num_drawn
        assert report.tokens_saved == 2 * report.num_saved
    assert set(winners[0]) == set(winners[1])
    assert set(texts[1]) < set(texts[0])
    assert report.num_stopped > 0 and report.num_saved > 0


def w_rows(w: Warehouse) -> list[dict[str, object]]:
    return list(w.read("samples", run="r", round=1).to_pylist())


def test_a_draw_rule_needs_something_that_reads_votes(house: Warehouse) -> None:
    ask = ANSWER.model_copy(update={"draw": DrawRule()})
    with pytest.raises(OptionError, match="answer: a draw rule counts votes"):
        ask_shard(house, ScriptedEngine(answers), ask, all_rows(house), KEY, seed=3, part="a")


def test_nothing_is_asked_where_a_template_lacks_a_column(house: Warehouse) -> None:
    engine = ScriptedEngine(answers)
    chain = Chain(links=(ANSWER, REFINE.model_copy(update={"template": inline("{{ nothing }}")})))
    with pytest.raises(TemplateError, match=r"'nothing'.*answer, difficulty, messages"):
        ask_shard(house, engine, chain, all_rows(house), KEY, seed=3, part="a-0000")
    assert engine.asked == []


def test_a_row_that_does_not_fit_its_template_costs_itself(house: Warehouse) -> None:
    over = (
        "SELECT id AS prompt_id, messages, if(id = 'p2', NULL, id) AS hint, "
        "[] AS parent_ids FROM prompts"
    )
    ask = ANSWER.model_copy(update={"template": inline("{{ hint }}?"), "parser": AnswerParser()})
    critique = CRITIQUE.model_copy(update={"template": inline("{{ hint }} {{ answer }}")})
    chain = Chain(links=(ask, critique), wave=5)
    asked = []
    while not house.has("samples", run="r", round=1, part="a-0000"):
        engine = ScriptedEngine(answers)
        engine.fail_after = 3
        with suppress(KeyboardInterrupt):
            ask_shard(house, engine, chain, all_rows(house, over), KEY, seed=3, part="a-0000")
        asked += [request.id for request in engine.asked]
    rows = rows_of(house, "a-0000")
    failed = [row for row in rows if row["prompt_id"] == "p2"]
    assert [(row["role"], row["index"], row["status"]) for row in failed] == [
        ("answer", 0, "error"),
        ("answer", 1, "error"),
    ]
    assert all("template: template" in str(row["error"]) for row in failed)
    assert all("a null would be printed" in str(row["error"]) for row in failed)
    assert all(row["request_digest"] is None for row in failed)
    assert {row["status"] for row in rows if row["prompt_id"] != "p2"} == {"ok"}
    assert len(rows) == 5 * (2 + 2 * 2) + 2 and len(asked) == len(set(asked)) == 5 * (1 + 2)
    parse_shard(house, chain, run="r", round=1, part="a-0000")


def test_a_question_that_fits_no_row_is_refused() -> None:
    ask = ANSWER.model_copy(update={"template": inline("{{ hint }}")})
    chain = Chain(links=(ask, CRITIQUE))
    chain.check_rows([])
    chain.check_rows([{"hint": None}, {"hint": "add"}])
    with pytest.raises(TemplateError, match=r"row .*p1.*a null would be printed"):
        chain.check_rows([{"prompt_id": f"p{i}", "hint": None} for i in (1, 2)])


def inline(content: str) -> Template:
    return Template.model_validate({"messages": [{"role": "user", "content": content}]})


@pytest.mark.parametrize(
    ("over", "error", "message"),
    [
        ("SELECT 1 AS x", DataFormatError, "no prompt_id; their columns are x"),
        ("SELECT id AS prompt_id, y FROM prompts", DataFormatError, "can't run: .*y"),
        ("SELECT 'p' AS prompt_id FROM prompts", DataFormatError, "1 rows come more than once"),
        ("everything", UnknownNameError, "there are agent_prompts, answers"),
    ],
)
def test_a_query_that_gives_no_rows_to_ask_about_says_so(
    house: Warehouse, over: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        RowSource(house, over, run="r", round=1)


def test_references_are_hidden_unless_they_are_allowed(house: Warehouse) -> None:
    for allowed in (False, True):
        with RowSource(house, "prompts", run="r", round=1, allow_references=allowed) as source:
            found = {row.values["reference"] for row in source.rows(0, 9)}
        assert found == ({str(2 * i) for i in range(1, 7)} if allowed else {None})


def test_pairs_come_in_both_orders_and_rings_are_smaller(house: Warehouse) -> None:
    ask = ANSWER.model_copy(update={"n": 5})
    engine = ScriptedEngine(lambda question, seed: f"A: {seed}")
    ask_shard(house, engine, ask, all_rows(house), KEY, seed=3, part="a-0000")
    seal(house, "a-0000")
    for opponents, expected in ((0, 20), (1, 10), (2, 20)):
        rows = all_rows(house, "pairs", num_opponents=opponents)
        found = {row.parent_ids for row in rows}
        assert len(found) == len(rows) == expected * len(PROBLEMS)
        assert {(b, a) for a, b in found} == found
        texts = {row["id"]: row["text"] for row in w_rows(house)}
        assert all(texts[row.parent_ids[0]] == row.values["answer_a"] for row in rows)


@pytest.mark.parametrize("chunk", [1, 3])
def test_a_model_draws_the_same_samples_in_chunks(
    house: Warehouse, engine: Engine, chunk: int
) -> None:
    """A group that ends early is the beginning of the whole one, on a real engine too."""

    class Halves:
        version = "1"

        def parse(self, text: str) -> Parsed:
            return Parsed(label="low" if text < "Q" else "high")

    full = ANSWER.model_copy(update={"n": 8})
    early = full.model_copy(
        update={"draw": DrawRule(stop="confident", confidence=0.9, chunk=chunk)}
    )
    for part, ask in (("full-0000", full), ("early-0000", early)):
        rows = all_rows(house)
        ask_shard(house, engine, ask, rows, KEY, seed=3, part=part, reader=Halves())
    drawn = [
        {(r["prompt_id"], r["index"]): (r["seed"], r["text"]) for r in rows_of(house, part)}
        for part in ("full-0000", "early-0000")
    ]
    assert drawn[1].items() <= drawn[0].items()
    assert len(drawn[0]) == 8 * len(PROBLEMS) > len(drawn[1]) >= 3 * len(PROBLEMS)
