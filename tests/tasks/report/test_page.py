"""The page: complete, safe against what a model writes, the same for the same warehouse."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from storage import Warehouse
from tasks.errors import ReportError
from tasks.report import render_report, round_table_rows, write_report


class Page(HTMLParser):
    """Collects elements, attributes and visible text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(finished_warehouse: Warehouse) -> Page:
    return Page(render_report(finished_warehouse))


def test_model_written_markup_stays_text(page: Page) -> None:
    assert "<script>alert('owned')</script>" in page.text  # shown, letter by letter
    assert "{{ 7 * 7 }}" in page.text and "$x_1$" in page.text
    assert not page.elements & {"script", "img", "iframe", "object", "form", "link"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_marks_that_turn_the_writing_direction_are_shown_as_escapes(page: Page) -> None:
    assert "\u202e" not in page.text
    assert "\\u202e" in page.text


def test_hostile_names_are_escaped_too(
    warehouse_of_two_runs: Warehouse,
) -> None:
    w = warehouse_of_two_runs
    (row,) = w.read("rounds", run="labels", round=3).to_pylist()
    evil = "<svg onload=alert(1)> $\\frac{1}{0}$"
    row |= {"recipe": evil, "gate_reasons": [evil], "monitor_findings": [f"stop: {evil}: {evil}"]}
    row |= {"seconds": '{"<svg onload=alert(1)>": 5.0}'}
    w.write("rounds", [row], run="labels", round=3, part="all")
    page = Page(render_report(w))
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.text.count("<svg onload=alert(1)>") >= 3


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    loads = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert all(value is not None and value.startswith("#") for value in loads)
    policy = [value for name, value in page.attributes if name == "content"]
    assert any(value and value.startswith("default-src 'none'") for value in policy)


def test_the_page_shows_the_numbers_of_the_table(page: Page, finished_warehouse: Warehouse) -> None:
    with finished_warehouse.connect() as con:
        rows = round_table_rows(con)
    for row in rows:
        for column in ("accuracy", "change", "samples", "training rows", "labels right"):
            assert row[column] in page.text


def test_story_stop_reasons_samples_lineage_and_queries_are_there(page: Page) -> None:
    for expected in (
        "went from 50.0% to 90.0% with the promoted model of round 2",
        "Stopped in round 2: error avalanche.",
        "The candidate wins 20 problems and loses 3",
        "wrong_answer",
        "vote 75.0%",
        "Where one training row came from",
        "SELECT * FROM lineage('example-",
    ):
        assert expected in page.text, expected


def test_queries_on_the_page_run(finished_warehouse: Warehouse) -> None:
    from tasks.report.page import _queries
    from tasks.report.samples import lineage_example

    with finished_warehouse.connect() as con:
        queries = _queries("labels", 3, lineage_example(con, "labels"))
        assert len(queries) == 3
        assert all(con.execute(query).fetchall() for _, query in queries)


def test_plots_of_all_runs_are_inlined_with_ids_of_their_own(page: Page) -> None:
    for title in (
        "Held-out accuracy",
        "Accuracy by difficulty",
        "Self-made labels",
        "Exploration",
        "Rows",
    ):
        assert page.text.count(title) >= 2
    assert len(page.ids) == len(set(page.ids))
    targets = [v for name, v in page.attributes if name in ("href", "xlink:href") and v]
    assert {target.removeprefix("#") for target in targets} <= set(page.ids)


def test_the_same_warehouse_gives_the_same_page(finished_warehouse: Warehouse) -> None:
    assert render_report(finished_warehouse) == render_report(finished_warehouse)


def test_a_selected_run_is_reported_alone(finished_warehouse: Warehouse) -> None:
    page = Page(render_report(finished_warehouse, ["labels"]))
    assert "model-labels-2" in page.text and "model-votes" not in page.text


def test_an_empty_warehouse_says_what_to_do(tmp_path: Path) -> None:
    assert "Nothing has run yet" in render_report(Warehouse.open(tmp_path / "w"))


def test_writing_replaces_the_file_and_leaves_nothing_else(
    finished_warehouse: Warehouse, tmp_path: Path
) -> None:
    target = tmp_path / "new folder" / "report.html"
    assert write_report(finished_warehouse, target) == target
    first = target.read_text(encoding="utf-8")
    write_report(finished_warehouse, target)
    assert target.read_text(encoding="utf-8") == first
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_made_leaves_the_old_one(
    finished_warehouse: Warehouse, tmp_path: Path
) -> None:
    target = tmp_path / "report.html"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(ReportError, match="nope"):
        write_report(finished_warehouse, target, ["nope"])
    assert target.read_text(encoding="utf-8") == "old"
