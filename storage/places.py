"""Places: a local folder, or a folder of an object store, behind one kind of path.

Local paths are `pathlib.Path`; others are `upath.UPath`, which does the same over fsspec. An
object store has no rename: there a commit is one upload, whose object appears whole when the store
has all of it (also where it was sent in pieces), and what must not be replaced is sent on the
condition that nothing is there (`If-None-Match: *`).
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from storage.errors import MissingPackageError, StoreError

if TYPE_CHECKING:
    from upath import UPath

AnyPath: TypeAlias = "Path | UPath"
"""A path of a local folder or of an object store."""

CACHE_VARIABLE = "SELFLOOM_CACHE"
"""Environment variable: folder of the local working folders of warehouses in object stores."""

_log = logging.getLogger(__name__)
# pathlib makes one slash of two, and command lines hand paths over as such.
_URL = re.compile(r"(?P<protocol>[a-z][a-z0-9+.-]+):/+(?P<rest>.*)")
_S3 = ("s3", "s3a")


def place_of(location: str | Path) -> AnyPath:
    """Returns the path of a folder, local or in an object store.

    Args:
        location: A local path, or a URL such as "s3://bucket/folder".

    Raises:
        MissingPackageError: If a package for the object store is missing.
    """
    match = _URL.fullmatch(str(location))
    if match is None or match["protocol"] in ("file", "local"):
        return Path(f"/{match['rest']}" if match else location).expanduser().resolve()
    try:
        importlib.import_module("s3fs" if match["protocol"] in _S3 else "fsspec")
        upath = importlib.import_module("upath")
        # Another process's commits have to be seen, so listings are not remembered.
        url = f"{match['protocol']}://{match['rest'].rstrip('/')}"
        found: UPath = upath.UPath(url, use_listings_cache=False)
        assert found.fs is not None
    except ImportError as error:
        raise MissingPackageError(
            f"{location} is in an object store, which needs the package "
            f"{error.name or 'of its protocol'}: pip install 'selfloom[s3]'"
        ) from error
    return found


@contextmanager
def first_use(place: AnyPath) -> Iterator[None]:
    """Says what to look at when an object store fails where it is used for the first time.

    Args:
        place: What is used; a local one's errors pass as they are.

    Raises:
        StoreError: If the store can't be reached, refuses, or has no such bucket.
    """
    try:
        yield
    except Exception as error:
        # Every store's client has classes of its own for what can go wrong.
        if isinstance(place, Path) or type(error).__module__ == StoreError.__module__:
            raise
        hint = (
            "the bucket has to exist; credentials, region and endpoint come from AWS_… or ~/.aws"
            if place.protocol in _S3
            else "check that it can be reached, and its credentials"
        )
        kind = type(error).__name__
        raise StoreError(f"{place} can't be used ({kind}: {error}): {hint}") from error


def has_file(path: AnyPath) -> bool:
    """Returns whether there is a file; a store that can't be asked raises.

    Args:
        path: Where it should be.
    """
    if isinstance(path, Path):
        return path.is_file()
    try:
        # Its `isfile` would say no to everything that fails.
        return bool(path.fs.info(path.path)["type"] == "file")
    except FileNotFoundError:
        return False


def working_folder(place: AnyPath) -> Path:
    """Returns the local folder for what cannot be in an object store: models in use, scratch.

    Args:
        place: The warehouse; a local one is its own working folder.
    """
    if isinstance(place, Path):
        return place
    cache = Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/selfloom").expanduser().resolve()
    digest = hashlib.sha256(str(place).encode()).hexdigest()[:8]
    return cache / f"{re.sub(r'[^A-Za-z0-9]+', '-', str(place))}-{digest}"


def upload(source: Path, target: AnyPath, *, replace: bool = True) -> bool:
    """Sends a file to an object store; it appears whole or not at all.

    Args:
        source: The file.
        target: Path of the object.
        replace: Whether an object that is there already is replaced.

    Returns:
        Whether the object is now that file: False where it was there and `replace` is False.
    """
    assert not isinstance(target, Path)
    try:
        target.fs.put_file(str(source), target.path, mode="overwrite" if replace else "create")
    except FileExistsError:
        return False
    return True


def keep(root: Path, place: AnyPath, path: Path) -> None:
    """Copies a finished file or folder of the working folder to an object store.

    Args:
        root: The working folder.
        place: The warehouse; nothing is copied where it is local.
        path: The file or folder, in the working folder.
    """
    if isinstance(place, Path):
        return
    files = [path] if path.is_file() else sorted(own for own in path.rglob("*") if own.is_file())
    for own in files:
        upload(own, place / own.relative_to(root).as_posix())


def fetch(root: Path, place: AnyPath, path: Path) -> Path:
    """Returns a file or folder of the working folder, copied from the object store if missing.

    Args:
        root: The working folder.
        place: The warehouse; nothing is copied where it is local.
        path: The file or folder, in the working folder; it appears whole or not at all.
    """
    if isinstance(place, Path) or path.exists():
        return path
    source = place / path.relative_to(root).as_posix()
    if source.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
            unfinished = Path(folder) / path.name
            place.fs.get(source.path, str(unfinished), recursive=source.is_dir())
            os.replace(unfinished, path)
    return path


def read_rows(paths: Sequence[AnyPath], schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    """Returns the rows of Parquet files, in their order; null for columns a file does not have.

    Args:
        paths: The files, all in one place.
        schema: Schema of the table.
        columns: Names of the columns to return, in their order.
    """
    names = [path.as_posix() if isinstance(path, Path) else path.path for path in paths]
    filesystem = None if not paths or isinstance(paths[0], Path) else paths[0].fs
    # The explicit schema gives null for columns that are younger than the file.
    source = pads.dataset(names, schema=schema, format="parquet", filesystem=filesystem)
    return source.to_table(columns=list(columns))


def read_metadata(path: AnyPath) -> pq.FileMetaData:
    """Returns the footer of a Parquet file.

    Args:
        path: The file.
    """
    if isinstance(path, Path):
        return pq.read_metadata(path)
    return pq.read_metadata(path.path, filesystem=path.fs)


def let_read(
    connection: duckdb.DuckDBPyConnection, place: AnyPath, *, for_long: bool = True
) -> None:
    """Makes a DuckDB connection able to read a place.

    S3 is read by DuckDB's own httpfs where that extension is installed; else, and for every other
    store, DuckDB asks fsspec for the bytes, which is slower. Nothing is ever downloaded for it.

    Args:
        connection: The connection.
        place: The place.
        for_long: False for a connection that may remember which files there are.
    """
    if isinstance(place, Path):
        return
    if connection.filesystem_is_registered(place.protocol):
        return
    reason = _let_httpfs_read(connection) if place.protocol in _S3 else "it is not S3"
    if reason is not None:
        _log.info("DuckDB reads %s through fsspec: %s", place, reason)
        options = {**place.storage_options, "use_listings_cache": not for_long}
        files = importlib.import_module("fsspec").filesystem(
            place.protocol, skip_instance_cache=True, **options
        )
        connection.register_filesystem(files)
        if not for_long:
            connection.execute("SET parquet_metadata_cache = true")


def _let_httpfs_read(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Returns why DuckDB's own httpfs cannot be used, None if it can and knows the credentials."""
    try:
        connection.execute("LOAD httpfs")
    except duckdb.Error as error:
        return f"its extension httpfs is not installed ({str(error).splitlines()[0]})"
    session = importlib.import_module("botocore.session").get_session()
    keys = session.get_credentials()
    if keys is None:
        return "no S3 credentials were found in the environment or in ~/.aws"
    keys = keys.get_frozen_credentials()
    client = session.create_client("s3")
    scheme, _, endpoint = client.meta.endpoint_url.partition("://")
    settings = {
        "KEY_ID": keys.access_key,
        "SECRET": keys.secret_key,
        "SESSION_TOKEN": keys.token or "",
        "REGION": client.meta.region_name or "us-east-1",
    }
    if not endpoint.endswith(".amazonaws.com"):
        settings |= {"ENDPOINT": endpoint, "URL_STYLE": "path"}
    options = ", ".join(f"{name} {_quoted(value)}" for name, value in settings.items())
    connection.execute(f"CREATE SECRET (TYPE s3, {options}, USE_SSL {scheme == 'https'})")
    return None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
