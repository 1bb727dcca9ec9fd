"""Measures as rows: one per sample, errors with their reason, nothing measured twice."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from storage import Warehouse
from tasks.engines import Engine, GenerationRequest, Messages, OnProgress, TokenScores
from tasks.errors import DataFormatError, EngineError, UnknownNameError, WeightsChangedError
from tasks.measures import (
    POLICY,
    REFERENCE,
    Entropy,
    Likelihood,
    PTrue,
    SelfCertainty,
    drawn_scores,
    join_log_ratio,
    measure_samples,
)
from tasks.measures.run import SAMPLES_PER_GROUP
from tests.tasks.measures.conftest import PROMPTS, SAMPLES, Direct, MakeHouse, sample_row

PLACE: dict[str, Any] = {"run": "r", "round": 1}
IDS = [sample_row(*sample)["id"] for sample in SAMPLES]


def scores_of(house: Warehouse, part: str) -> list[dict[str, Any]]:
    return list(house.read("scores", **PLACE, part=part).to_pylist())


def test_every_sample_gets_a_row(make_house: MakeHouse, engine: Engine, direct: Direct) -> None:
    house = make_house()
    assert measure_samples(house, engine, Likelihood(), **PLACE) == ["logprob-sample-0000"]
    rows = scores_of(house, "logprob-sample-0000")
    assert [row["sample_id"] for row in rows] == IDS
    assert {(row["check"], row["status"], row["error"]) for row in rows} == {
        ("logprob", "ok", None)
    }
    expected = [
        sum(direct.logprobs(PROMPTS[prompt], text, reason == "stop"))
        for prompt, text, reason in SAMPLES
    ]
    assert [row["value"] for row in rows] == pytest.approx(expected, rel=2e-5)
    details = [json.loads(row["detail"]) for row in rows]
    assert {detail["weight_hash"] for detail in details} == {engine.weight_hash}
    with house.connect() as con:
        found = con.execute("SELECT count(*) FROM scores WHERE \"check\" = 'logprob'").fetchall()
    assert found == [(len(SAMPLES),)]


def test_what_cannot_be_measured_says_why_and_has_no_value(
    make_house: MakeHouse, engine: Engine
) -> None:
    house = make_house(
        sample_row("p0", "fine", "stop"),
        sample_row("p0", "x" * 300, "stop"),
        sample_row("p0", "lost", "error", status="error", error="context_overflow: 999"),
        sample_row("p0", "second turn", "stop", turn=1),
        sample_row("p0", "critique", "stop", parent_ids=["sample-1"]),
        sample_row("elsewhere", "orphan", "stop"),
    )
    (part,) = measure_samples(house, engine, PTrue(), **PLACE)
    rows = scores_of(house, part)
    assert [row["status"] for row in rows] == ["ok"] + ["error"] * 5
    assert [row["value"] is None for row in rows] == [False] + [True] * 5
    kinds = [row["error"].partition(":")[0] for row in rows[1:]]
    assert kinds == ["context_overflow", "no_sample", "unsupported", "unsupported", "no_prompt"]


class CountingEngine:
    """Scores by the length of the text, and fails when it is told to."""

    name, model_path, weight_hash = "counting", "", "w"

    def __init__(self, fail_at: int | None = None) -> None:
        self.fail_at, self.num_calls, self.asked = fail_at, 0, list[str]()

    def score(
        self, pairs: Sequence[tuple[Messages, str]], on_progress: OnProgress | None = None
    ) -> list[TokenScores]:
        self.num_calls += 1
        if self.num_calls == self.fail_at:
            raise EngineError("killed")
        self.asked += [text for _, text in pairs]
        return [TokenScores([-1.0 * len(text), -0.5]) for _, text in pairs]


def test_after_a_crash_only_the_rest_is_measured(make_house: MakeHouse) -> None:
    texts = [f"text {i}" for i in range(2 * SAMPLES_PER_GROUP + 3)]
    house = make_house(*(sample_row("p0", text, "stop") for text in texts))
    first, second, third = CountingEngine(fail_at=2), CountingEngine(), CountingEngine()
    with pytest.raises(EngineError):
        measure_samples(house, first, Likelihood(), **PLACE)  # type: ignore[arg-type]
    assert first.asked == texts[:SAMPLES_PER_GROUP]
    assert house.parts("scores") == []
    progress: list[tuple[int, int]] = []
    (part,) = measure_samples(
        house,
        second,  # type: ignore[arg-type]
        Likelihood(),
        **PLACE,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    assert second.asked == texts[SAMPLES_PER_GROUP:]
    assert progress[-1] == (len(texts), len(texts))
    assert [row["value"] for row in scores_of(house, part)] == [-len(t) - 0.5 for t in texts]
    before = house.read("scores")
    measure_samples(house, third, Likelihood(), **PLACE)  # type: ignore[arg-type]
    assert third.asked == [] and house.read("scores") == before


def test_measured_rows_are_not_taken_for_those_of_other_weights(make_house: MakeHouse) -> None:
    house, other = make_house(), CountingEngine()
    measure_samples(house, CountingEngine(), Likelihood(), **PLACE)  # type: ignore[arg-type]
    other.weight_hash = "v"
    with pytest.raises(WeightsChangedError, match=r"weights w, not version .* by v"):
        measure_samples(house, other, Likelihood(), **PLACE)  # type: ignore[arg-type]
    with pytest.raises(WeightsChangedError, match="another name"):
        measure_samples(
            house,
            CountingEngine(),  # type: ignore[arg-type]
            Likelihood(value="mean"),
            **PLACE,
        )


def test_sealed_shards_are_measured_whole_and_pending_ones_by_name(make_house: MakeHouse) -> None:
    house, place = make_house(), {"run": "r", "round": 2}
    for number in range(2):
        rows = [sample_row("p0", f"shard {number}", "stop")]
        house.write_shard("samples", rows, part=f"s-000{number}", **place)  # type: ignore[arg-type]
    engine: Any = CountingEngine()
    (pending,) = measure_samples(house, engine, Likelihood(), **place, parts=["s-0001"])  # type: ignore[arg-type]
    house.seal("samples", ["s-0000", "s-0001"], **place)  # type: ignore[arg-type]
    (sealed,) = measure_samples(house, engine, Likelihood("again"), **place)  # type: ignore[arg-type]
    assert (pending, sealed) == ("logprob-s-0001", "again-s-0000_0001")
    assert engine.asked == ["shard 1", "shard 0", "shard 1"]


def test_the_log_ratio_is_that_of_both_models(
    make_house: MakeHouse,
    engine: Engine,
    reference_engine: Engine,
    direct: Direct,
    direct_reference: Direct,
) -> None:
    house = make_house()
    measure_samples(house, engine, POLICY, **PLACE)
    with pytest.raises(DataFormatError, match="logprob_reference"):
        join_log_ratio(house, **PLACE)
    measure_samples(house, reference_engine, REFERENCE, **PLACE)
    (part,) = join_log_ratio(house, **PLACE, beta=0.1)
    rows = scores_of(house, part)
    expected = []
    for prompt, text, reason in SAMPLES:
        asked = (PROMPTS[prompt], text, reason == "stop")
        own, other = sum(direct.logprobs(*asked)), sum(direct_reference.logprobs(*asked))
        assert abs(own - other) > 0.01
        expected.append(0.1 * (own - other))
    assert [row["sample_id"] for row in rows] == IDS
    assert [row["value"] for row in rows] == pytest.approx(expected, abs=1e-4)
    assert json.loads(rows[0]["detail"])["reference_weight_hash"] == reference_engine.weight_hash


def test_a_log_ratio_without_one_side_is_an_error(make_house: MakeHouse) -> None:
    house = make_house(sample_row("p0", "fine", "stop"), sample_row("gone", "lost", "stop"))
    for measure in (POLICY, REFERENCE):
        measure_samples(house, CountingEngine(), measure, **PLACE)  # type: ignore[arg-type]
    (part,) = join_log_ratio(house, **PLACE)
    fine, lost = scores_of(house, part)
    assert (fine["status"], fine["value"]) == ("ok", 0.0)
    assert (lost["status"], lost["value"]) == ("error", None)
    assert lost["error"].startswith("no_prompt: policy: no_prompt: ")


def test_what_was_measured_while_drawing_costs_no_engine(make_house: MakeHouse) -> None:
    house = make_house(
        sample_row("p0", "a", "stop", mean_self_certainty=2.5, mean_entropy=0.5),
        sample_row("p0", "b", "stop"),
        sample_row("p0", "c", "error", status="error", error="empty_prompt: none"),
    )
    (part,) = drawn_scores(house, "drawn_self_certainty", **PLACE)
    rows = scores_of(house, part)
    assert [row["value"] for row in rows] == [2.5, None, None]
    assert [row["status"] for row in rows] == ["ok", "error", "error"]
    assert rows[1]["error"].startswith("unsupported: ")
    assert rows[2]["error"] == "no_sample: empty_prompt: none"
    with pytest.raises(UnknownNameError, match="drawn_entropy"):
        drawn_scores(house, "beauty", **PLACE)


def test_drawn_and_encoded_texts_measure_the_same(make_house: MakeHouse, engine: Engine) -> None:
    request = GenerationRequest("p0", PROMPTS["p0"], n=100, seed=3, max_new_tokens=2)
    drawn = {
        c.text: c
        for c in engine.generate([request])[0]
        if c.text.isascii() and c.text.isprintable()
    }
    assert len(drawn) >= 3
    house = make_house(*(sample_row("p0", c.text, c.finish_reason) for c in drawn.values()))
    for measure, field in (
        (Likelihood(), "sum_logprob"),
        (Entropy(), "mean_entropy"),
        (SelfCertainty(), "mean_self_certainty"),
    ):
        (part,) = measure_samples(house, engine, measure, **PLACE)
        expected = [getattr(completion, field) for completion in drawn.values()]
        assert [row["value"] for row in scores_of(house, part)] == pytest.approx(expected, abs=1e-4)
