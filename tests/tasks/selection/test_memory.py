"""Selections of more text than they may keep in memory: they spill it and come to the same rows."""

from pathlib import Path

from storage import Warehouse, table_hash
from tasks.selection import Selection, select
from tests.tasks.selection.rounds import RUN, Drawn, write_round

NUM_PROMPTS = 1000
NUM_SAMPLES = 16
MEMORY_GIB = 0.13


def text_of(prompt: int, index: int) -> str:
    return f"{prompt:05d}-{index:05d} " * 150


def test_pairs_of_texts_that_do_not_fit_into_memory(tmp_path: Path) -> None:
    warehouse = Warehouse.open(tmp_path / "w")
    prompts = [
        [Drawn(str(k % 2), text_of(p, k), is_right=k % 2 == 0) for k in range(NUM_SAMPLES)]
        for p in range(NUM_PROMPTS)
    ]
    write_round(warehouse, prompts)
    found = set()
    for memory_gib in (MEMORY_GIB, None):
        report = select(
            warehouse,
            [Selection("reference_pairs", {"max_pairs": 16})],
            run=RUN,
            round=1,
            allow_references=True,
            memory_gib=memory_gib,
        )
        # 27 MiB of texts, each of them in two pairs.
        assert report.selections[0].num_rows == NUM_PROMPTS * 16
        found.add(table_hash(warehouse, "pairs", run=RUN))
    assert len(found) == 1
