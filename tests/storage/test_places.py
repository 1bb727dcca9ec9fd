"""A warehouse in an object store: uploads, conditions, readers of all kinds, other machines."""

import importlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage import (
    JournalBusyError,
    MissingPackageError,
    NotAWarehouseError,
    StoreError,
    Warehouse,
    WarehouseNotFoundError,
    diff_tables,
    run_sql,
)
from storage.places import place_of, upload, working_folder

MakeRow = Callable[..., dict[str, Any]]
PLACE: dict[str, Any] = {"run": "r", "round": 1}


@pytest.fixture
def url(object_store: str, tmp_path: Path) -> str:
    """The URL of a folder that is free."""
    return f"{object_store}/{tmp_path.name}/w"


@pytest.fixture
def house(url: str) -> Warehouse:
    return Warehouse.open(url)


def elsewhere(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """The same warehouse as another machine sees it: with a working folder of its own."""
    with monkeypatch.context() as patch:
        patch.setenv("SELFLOOM_CACHE", str(tmp_path / "elsewhere"))
        return Warehouse.open(url, create=False)


@pytest.mark.slow
def test_rows_are_read_back_by_everyone(
    house: Warehouse,
    url: str,
    make_row: MakeRow,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    open_all_the_while = house.connect()
    for part in ("a", "b"):
        house.write("votes", [make_row("votes", part)], part=part, **PLACE)
    other = elsewhere(url, tmp_path, monkeypatch)
    assert other.root != house.root and other.uri == house.uri == url
    caplog.set_level(logging.INFO)
    for own in (house, other):
        assert own.has("votes", part="a", **PLACE) and not own.has("votes", part="c", **PLACE)
        assert [part.name for part in own.parts("votes")] == ["a", "b"]
        assert own.read("votes", columns=["id"]).to_pydict() == {"id": ["a", "b"]}
        with own.connect() as connection:
            query = "SELECT id FROM votes WHERE round = 1 ORDER BY id"
            assert connection.execute(query).fetchall() == [("a",), ("b",)]
        assert run_sql(own, "SELECT count(*) AS n FROM votes", "csv").text == "n\n2\n"
    assert "through fsspec: its extension httpfs is not installed" in caplog.text
    assert open_all_the_while.execute("SELECT count(*) FROM votes").fetchall() == [(2,)]
    assert diff_tables(house, other, tables=["votes"]) == []


@pytest.mark.slow
def test_a_local_copy_has_the_same_rows(
    house: Warehouse, make_row: MakeRow, tmp_path: Path
) -> None:
    local = Warehouse.open(tmp_path / "local")
    for own in (house, local):
        own.write("votes", [make_row("votes", "a"), make_row("votes", "b")], part="p", **PLACE)
    assert diff_tables(local, house, tables=["votes"]) == []
    house.write("votes", [make_row("votes", "c")], part="q", **PLACE)
    (found,) = diff_tables(local, house, tables=["votes"])
    assert (found.id, found.kind) == ("c", "only in second")


def test_shards_are_sealed_by_one_upload(
    house: Warehouse, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [f"s-{i}" for i in range(3)]
    for part in parts:
        rows = [make_row("votes", f"{part}-{i}") for i in range(2)]
        house.write_shard("votes", rows, part=part, **PLACE)
    assert house.read("votes").num_rows == 0
    assert house.connect().execute("FROM votes").fetchall() == []
    house.seal("votes", parts, **PLACE)
    (sealed,) = house.parts("votes")
    assert sealed.name == "s-0..2"
    assert [house.has("votes", part=part, **PLACE) for part in [*parts, "s-3"]] == [True] * 3 + [
        False
    ]
    assert house.read("votes", part="s-1").column("id").to_pylist() == ["s-1-0", "s-1-1"]
    assert list((house.place / "pending").rglob("*.parquet")) == []
    # Sealing again, as a process that was slower would, does not touch what readers have open.
    stamp = sealed.path.stat().st_mtime
    house.write_shard("votes", [make_row("votes", "late")], part="s-1", **PLACE)
    house.seal("votes", parts, **PLACE)
    assert sealed.path.stat().st_mtime == stamp and house.read("votes").num_rows == 6


def test_of_two_uploads_that_must_not_replace_the_first_stays(url: str, tmp_path: Path) -> None:
    target = place_of(url) / "x"
    for number, stored in ((1, True), (2, False)):
        (tmp_path / "x").write_text(str(number))
        assert upload(tmp_path / "x", target, replace=False) is stored
    assert target.read_text() == "1"
    assert upload(tmp_path / "x", target) and target.read_text() == "2"


def test_models_and_snapshots_go_there_and_come_back(
    house: Warehouse, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = house.model_path("m")
    (model / "deep").mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "deep" / "weights").write_bytes(b"\0" * 100_000)
    snapshot = house.root / "snapshots" / "s.parquet"
    snapshot.parent.mkdir()
    snapshot.write_bytes(b"PAR1")
    for path in (model, snapshot):
        house.keep(path)
    other = elsewhere(url, tmp_path, monkeypatch)
    assert not other.model_path("m").exists()
    for _ in range(2):
        assert other.fetch(other.model_path("m")) == other.model_path("m")
    assert (other.model_path("m") / "deep" / "weights").read_bytes() == b"\0" * 100_000
    assert other.fetch(other.root / "snapshots" / "s.parquet").read_bytes() == b"PAR1"
    assert not other.fetch(other.model_path("none")).exists()
    assert sorted(path.name for path in other.models_dir.iterdir()) == ["m"]


def test_journals_stay_on_this_machine(house: Warehouse) -> None:
    with house.journal("votes", part="p-0", identity="x", **PLACE) as journal:
        journal.append("a", [])
        assert journal.path.is_relative_to(house.root)
        assert list(house.place.rglob("*.journal")) == []
    assert issubclass(JournalBusyError, RuntimeError)


def test_a_bucket_that_holds_other_things_is_refused(url: str) -> None:
    (place_of(url) / "notes.txt").write_text("mine")
    with pytest.raises(NotAWarehouseError, match=r"holds notes\.txt"):
        Warehouse.open(url)
    with pytest.raises(WarehouseNotFoundError, match="no warehouse at s3://bucket"):
        Warehouse.open(url, create=False)


@pytest.mark.parametrize(
    ("environment", "location", "reason"),
    [
        ({}, "s3://nobucket/w", "bucket does not exist"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://bucket/w", "EndpointConnectionError"),
        ({"AWS_ACCESS_KEY_ID": ""}, "s3://bucket/w", "NoCredentialsError"),
    ],
)
def test_a_store_that_cannot_be_used(
    environment: dict[str, str],
    location: str,
    reason: str,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # Clients are kept for the process; the environment of a new one counts.
    monkeypatch.setattr(importlib.import_module("s3fs").S3FileSystem, "cachable", False)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    # Nor may credentials of this machine come in.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for create in (True, False) if environment else (True,):
        with pytest.raises(StoreError, match=f"{location} can't be used .*{reason}.*AWS_"):
            Warehouse.open(location, create=create)


def test_a_cache_that_cannot_be_written_is_not_the_stores_fault(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SELFLOOM_CACHE", str(tmp_path / "file"))
    with pytest.raises(NotADirectoryError, match="file"):
        Warehouse.open(url)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def fail(name: str, package: str | None = None) -> Any:
        if name == "s3fs":
            raise ImportError("no s3fs", name="s3fs")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(MissingPackageError, match=r"needs the package s3fs: pip install"):
        place_of("s3://bucket/w")


def test_a_url_survives_pathlib(url: str) -> None:
    assert str(place_of(Path(url))) == str(place_of(url)) == url
    assert place_of("~/x") == Path.home() / "x" and place_of("file:///x/y") == Path("/x/y")
    assert place_of(f"{url}/") == place_of(url)
    assert working_folder(place_of(url)) != working_folder(place_of(f"{url}2"))


def test_a_lost_working_folder_costs_nothing(house: Warehouse, make_row: MakeRow) -> None:
    house.write("votes", [make_row("votes", "a")], part="p", **PLACE)
    shutil.rmtree(os.environ["SELFLOOM_CACHE"])
    again = Warehouse.open(house.uri)
    assert again.connect().execute("SELECT id FROM votes").fetchall() == [("a",)]
