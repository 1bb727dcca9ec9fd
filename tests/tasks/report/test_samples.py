"""Single rows on the page: which samples are shown, and how their text is."""

from hypothesis import given
from hypothesis import strategies as st

from storage import Warehouse
from tasks.report.samples import brief, lineage_example, sample_rows, visible


def test_shown_samples_differ_in_verdict_and_fate(finished_warehouse: Warehouse) -> None:
    with finished_warehouse.connect() as con:
        shown = sample_rows(con, "labels", [1, 3])
        assert shown == sample_rows(con, "labels", [1, 3])
    assert {s.round for s in shown} == {1, 3}
    assert len(shown) == 8
    first = [s for s in shown if s.round == 1]
    assert {s.verdict for s in first} == {"accepted", "wrong_answer"}
    assert {s.selected for s in first} == {True, False}
    for s in shown:
        assert s.correct == (s.verdict == "accepted") == (s.answer == s.reference)
        assert s.share is not None and 0.0 < s.share <= 1.0
        assert s.selected != (s.reason is not None)


def test_lineage_names_what_made_the_row(finished_warehouse: Warehouse) -> None:
    with finished_warehouse.connect() as con:
        lineage = lineage_example(con, "labels")
        assert lineage_example(con, "no such run") is None
    assert lineage is not None
    relations = {step.relation for step in lineage.steps}
    assert {"self", "sample", "execution", "prompt", "policy"} <= relations
    (sample,) = [step for step in lineage.steps if step.relation == "sample"]
    assert {"policy_id", "weight_hash", "sampling", "seed"} <= dict(sample.maker).keys()


@given(st.text())
def test_visible_text_hides_no_character(text: str) -> None:
    shown = visible(text, limit=10_000)
    assert all(ch.isprintable() or ch in "\n\t" or ch.isspace() for ch in shown)
    if all(ch.isascii() and ch.isprintable() for ch in text):
        assert shown == text


def test_long_text_says_how_much_is_missing() -> None:
    assert visible("x" * 2_000, 100).endswith("… (1,900 more characters)")
    assert brief("one\n two  three", 7) == "one two…"
