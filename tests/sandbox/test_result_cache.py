import multiprocessing
import os
import signal
import sqlite3
import threading
import typing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import CaseResult, ResultCache, SandboxCacheError, Verdict
from sandbox.result_cache import pack_execution, unpack_execution
from tests.sandbox.fixed_box import EXECUTION


@given(st.text(), st.text(), st.sampled_from(Verdict), st.lists(st.text(), max_size=3))
@settings(max_examples=50)
def test_an_execution_comes_back_as_it_was(
    stdout: str, got: str, verdict: Verdict, flags: list[str]
) -> None:
    execution = replace(
        EXECUTION, stdout=stdout, verdict=verdict, flags=tuple(flags),
        results=(CaseResult(verdict, got, "note"),),
    )  # fmt: skip
    assert unpack_execution(pack_execution(execution)) == execution


def test_what_was_put_is_there_after_opening_again_and_the_first_stays(tmp_path: Path) -> None:
    with ResultCache(tmp_path / "c") as cache:
        assert cache.get(b"k") is None
        cache.put(b"k", EXECUTION)
        cache.put(b"k", replace(EXECUTION, stdout="later"))
    with ResultCache(tmp_path / "c") as cache:
        assert cache.get(b"k") == EXECUTION
        assert len(cache) == 1


def damage_header(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)


def damage_all_but_header(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def change_a_row(path: Path) -> None:
    data = path.read_bytes()
    assert b'"accepted"' in data
    path.write_bytes(data.replace(b"accepted", b"tampered"))


def change_a_letter_of_output(path: Path) -> None:
    data = path.read_bytes()
    assert b"unmistakable" in data
    path.write_bytes(data.replace(b"unmistakable", b"inmistakable"))


@pytest.mark.parametrize(
    "damage", [damage_header, damage_all_but_header, cut, change_a_row, change_a_letter_of_output]
)
def test_a_damaged_file_is_named_with_what_to_do(
    tmp_path: Path, damage: typing.Callable[[Path], None]
) -> None:
    path = tmp_path / "results.cache"
    with ResultCache(path) as cache:
        for number in range(50):
            cache.put(b"%d" % number, replace(EXECUTION, stdout=f"unmistakable {number}"))
    assert not list(tmp_path.glob("*-wal"))
    damage(path)
    with (
        pytest.raises(SandboxCacheError, match=r"results\.cache is damaged.*delete it"),
        ResultCache(path) as cache,
    ):
        for number in range(50):
            cache.get(b"%d" % number)


def test_another_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    with sqlite3.connect(path) as books:
        books.execute("CREATE TABLE books (title)")
    before = path.read_bytes()
    with pytest.raises(SandboxCacheError, match=r"books\.sqlite is a database, but no cache"):
        ResultCache(path)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxCacheError, match=r"nowhere/c cannot be used"):
        ResultCache(tmp_path / "nowhere" / "c")


def put_many(path: Path, start: int, count: int) -> None:
    with ResultCache(path) as cache:
        for number in range(start, start + count):
            cache.put(number.to_bytes(4, "big"), replace(EXECUTION, id=str(number)))


def test_processes_and_threads_that_start_at_once_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "c"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=put_many, args=(path, 400 * i, 500)) for i in range(3)]
    for process in processes:
        process.start()
    with ResultCache(path) as cache:

        def put_some() -> None:
            for _ in range(100):
                cache.put(os.urandom(8), EXECUTION)

        threads = [threading.Thread(target=put_some) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0, 0, 0]
        assert len(cache) == 1300 + 400


def put_until_killed(path: Path, ready: typing.Any) -> None:
    with ResultCache(path) as cache:
        for number in range(1 << 30):
            cache.put(number.to_bytes(4, "big"), EXECUTION)
            if number == 20:
                ready.set()


def test_a_writer_killed_at_any_moment_leaves_a_sound_file(tmp_path: Path) -> None:
    path = tmp_path / "c"
    context = multiprocessing.get_context("spawn")
    before = 0
    for _ in range(3):
        ready = context.Event()
        writer = context.Process(target=put_until_killed, args=(path, ready))
        writer.start()
        assert ready.wait(60)
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
        with ResultCache(path) as cache:
            count = len(cache)
            assert count > 20 and count >= before
            keys = [number.to_bytes(4, "big") for number in range(count)]
            assert all(cache.get(key) == EXECUTION for key in keys)
        before = count
