import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

WriteRows = Callable[..., Path]


@pytest.fixture
def write_rows(tmp_path: Path) -> WriteRows:
    """Writes `num` random rows of a method, with further columns, and returns the file."""

    def write(method: str, num: int = 24, name: str = "rows", **columns: Any) -> Path:
        rng = random.Random(num)

        def messages(role: str) -> list[dict[str, str]]:
            return [{"role": role, "content": "".join(rng.choices("abc123 ", k=rng.randint(3, 9)))}]

        names = ["chosen", "rejected"] if method == "dpo" else ["completion"]
        table: dict[str, Any] = {"prompt": [messages("user") for _ in range(num)]}
        table |= {column: [messages("assistant") for _ in range(num)] for column in names}
        if method == "kto":
            table["label"] = [i % 3 > 0 for i in range(num)]
        file = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table(table | columns), file)
        return file

    return write
