"""Similarity to labelled answers against TF-IDF in ten lines of Python."""

import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Warehouse, content_id
from tasks.checks.similarity import similarities
from tests.tasks.selection.rounds import RUN, Drawn, write_round

TEXTS = st.text(alphabet="abcd ", min_size=1, max_size=9)
PROMPTS = st.lists(
    st.lists(
        st.builds(
            Drawn,
            answer=st.just("1"),
            text=TEXTS,
            policy=st.sampled_from(["m", "m", "labelled"]),
            purpose=st.sampled_from(["train", "train", "evaluate"]),
            is_right=st.just(False),
            verdict=st.just("accepted"),
            scores=st.just(()),
            num_tokens=st.just(1),
        ),
        max_size=4,
    ),
    min_size=1,
    max_size=3,
)


def grams(text: str) -> Counter[str]:
    text = text.strip(" ")
    return Counter(text[i : i + 3] for i in range(max(len(text) - 2, 1)))


@settings(max_examples=6, deadline=None)
@given(prompts=PROMPTS)
def test_the_cosine_is_that_of_tf_idf_vectors(
    tmp_path_factory: pytest.TempPathFactory, prompts: list[list[Drawn]]
) -> None:
    warehouse = Warehouse.open(tmp_path_factory.mktemp("w") / "w")
    write_round(warehouse, prompts)
    similarities(warehouse, run=RUN, round=1)
    part = "similarity-results-0000"
    rows = warehouse.read("scores", run=RUN, round=1, part=part).to_pylist()
    found = {row["sample_id"]: row["value"] for row in rows}
    drawn = {
        (p, i): one
        for p, own in enumerate(prompts)
        for i, one in enumerate(own)
        if one.purpose != "evaluate"
    }
    texts = Counter(gram for one in drawn.values() for gram in set(grams(one.text)))

    def vector(text: str) -> dict[str, float]:
        n = len(drawn)
        return {g: k * (math.log((1 + n) / (1 + texts[g])) + 1) for g, k in grams(text).items()}

    def cosine(a: str, b: str) -> float:
        x, y = vector(a), vector(b)
        return sum(x[g] * y.get(g, 0) for g in x) / (
            math.hypot(*x.values()) * math.hypot(*y.values())
        )

    expected = {}
    for (p, i), one in drawn.items():
        targets = [t.text for (q, _), t in drawn.items() if q == p and t.policy == "labelled"]
        if targets:
            alike = max(cosine(one.text, target) for target in targets)
            expected[content_id("sample", p, i)] = alike
    assert found == pytest.approx(expected)


def test_the_same_text_is_as_similar_as_can_be(tmp_path: Path) -> None:
    warehouse = Warehouse.open(tmp_path / "w")
    own = [Drawn("1", "x = 3", policy="labelled"), Drawn("1", " x = 3"), Drawn("2", "quite other")]
    write_round(warehouse, [own])
    assert similarities(warehouse, run=RUN, round=1) == 3
    part = "similarity-results-0000"
    rows = warehouse.read("scores", run=RUN, round=1, part=part).to_pylist()
    found = {row["sample_id"]: row["value"] for row in rows}
    assert found[content_id("sample", 0, 1)] == pytest.approx(1)
    assert found[content_id("sample", 0, 2)] == 0
