"""What breaks around the containers: the engine is restarted, killed, or gone for good."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Execution, Limits, Program, Verdict, open_sandbox, workers
from sandbox.backends import containers
from tests.sandbox.conftest import skip_or_fail
from tests.sandbox.engines import (
    Engine,
    copy_image,
    engine_at,
    engine_of_our_own,
    why_no_engine_of_our_own,
    with_image,
)

pytestmark = [pytest.mark.docker, pytest.mark.sandbox]


@pytest.fixture(scope="module")
def own_engine(docker_engine: str) -> Iterator[Engine]:
    """An engine that only these tests use, with the image and another name for its runtime."""
    if (reason := why_no_engine_of_our_own()) is not None:
        skip_or_fail(reason)
    with engine_of_our_own("--add-runtime", "other=/usr/sbin/runc") as engine:
        copy_image(with_image(docker_engine), docker_engine, engine.url)
        with engine_at(engine.url):
            yield engine


def programs(count: int) -> list[Program]:
    source = "import time; time.sleep(0.02); print({0})"
    return [Program(str(i), source.format(i), expected_stdout=str(i)) for i in range(count)]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_the_engine_costs_no_verdict(own_engine: Engine, how: signal.Signals) -> None:
    def restart() -> None:
        own_engine.end(how)
        own_engine.start()

    done: list[Execution] = []
    thread = threading.Thread(target=restart)
    with open_sandbox("docker", workers=1, limits=Limits()) as box:
        for execution in box.run(programs(80)):
            done.append(execution)
            if len(done) == 10:
                thread.start()
        thread.join()
        (after,) = box.run([Program("after", "print(1)")])
    assert [execution.id for execution in done] == [str(i) for i in range(80)]
    assert {execution.verdict for execution in [*done, after]} == {Verdict.ACCEPTED}
    assert max(execution.attempts for execution in done) == 2
    assert left_running(own_engine) == []


def left_running(engine: Engine) -> list[str]:
    """Ids of containers that still run, by what watches over them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            argv = entry.read_bytes().decode().split("\0")
        except OSError:
            continue
        if "containerd-shim" in argv[0] and any(str(engine.folder) in part for part in argv):
            found.append(argv[argv.index("-id") + 1])
    return found


def test_a_runtime_of_another_name_is_used(own_engine: Engine) -> None:
    with open_sandbox("docker:other", workers=1) as box:
        (execution,) = box.run([Program("a", "print(1)")])
        assert box.describe()["runtime"] == "other"
    assert (execution.verdict, execution.isolation) == (Verdict.ACCEPTED, "container")


def test_where_the_engine_is_gone_for_good_nothing_hangs_and_nothing_is_judged(
    own_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "_PATIENCE_S", 1.0)
    monkeypatch.setattr(workers, "_PAUSES_S", (0.0, 0.1, 0.1))
    done: list[Execution] = []
    try:
        with open_sandbox("docker", workers=1) as box:
            for execution in box.run(programs(40)):
                done.append(execution)
                if len(done) == 10:
                    own_engine.end(signal.SIGKILL)
    finally:
        own_engine.start()
    verdicts = [execution.verdict for execution in done]
    assert len(done) == 40 and set(verdicts) == {Verdict.ACCEPTED, Verdict.NOT_RUN}
    assert verdicts[:10] == [Verdict.ACCEPTED] * 10
    assert verdicts[-1] is Verdict.NOT_RUN
