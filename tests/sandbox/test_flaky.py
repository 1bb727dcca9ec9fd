from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Execution, Job, Program, Sandbox, SandboxUsageError, Verdict, run_rechecked
from sandbox.flaky import is_rechecked
from tests.sandbox.conftest import LIMITS
from tests.sandbox.fixed_box import ENVIRONMENT, FixedBox
from tests.sandbox.opened import open_default


class SeededBox(FixedBox):
    """Prints its seed where the source asks for it, and ends as the source says."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.environment = replace(ENVIRONMENT, seed=seed)
        self.seed = seed

    def run(self, jobs: Iterable[Job]) -> Iterator[Execution]:
        for execution in super().run(jobs):
            stdout = execution.stdout.replace("SEED", str(self.seed))
            verdict = Verdict.ACCEPTED
            if "stops" in stdout:
                verdict = Verdict.CPU_TIMEOUT
            if f"fails{self.seed}" in stdout:
                verdict = Verdict.SANDBOX_FAULT
            yield replace(execution, stdout=stdout, verdict=verdict)


def flags_of(*sources: str, share: float = 1.0) -> list[tuple[str, ...]]:
    jobs = [Program(str(i), source) for i, source in enumerate(sources)]
    executions = list(run_rechecked(SeededBox(0), SeededBox(1), jobs, share, seed=0))
    assert [e.id for e in executions] == [job.id for job in jobs]
    return [e.flags[1:] for e in executions]


def test_another_output_is_marked_and_the_first_run_is_what_counts() -> None:
    assert flags_of("same", "SEED") == [("rechecked",), ("rechecked", "nondeterministic")]
    (execution,) = run_rechecked(SeededBox(0), SeededBox(1), [Program("a", "SEED")], 1.0, 0)
    assert execution.stdout == "0"


def test_faults_and_the_output_of_what_was_stopped_are_not_compared() -> None:
    assert flags_of("fails0", "fails1", "stops SEED") == [(), (), ("rechecked",)]


@given(
    st.lists(st.sampled_from(["a", "b SEED", "fails0", "fails1"]), max_size=200), st.floats(0, 1)
)
def test_every_job_comes_back_once_and_equal_jobs_are_treated_alike(
    sources: list[str], share: float
) -> None:
    seen: dict[str, set[tuple[str, ...]]] = {}
    for source, flags in zip(sources, flags_of(*sources, share=share), strict=True):
        seen.setdefault(source, set()).add(flags)
    assert all(len(flags) == 1 for flags in seen.values())


@given(st.floats(0, 1), st.integers(0, 9))
def test_the_share_is_a_share_and_grows_only(share: float, seed: int) -> None:
    digests = [number.to_bytes(32, "big") for number in range(2000)]
    chosen = [is_rechecked(digest, share, seed) for digest in digests]
    assert abs(sum(chosen) / len(digests) - share) < 0.07
    more = [is_rechecked(digest, min(1.0, share + 0.1), seed) for digest in digests]
    assert all(after for before, after in zip(chosen, more, strict=True) if before)


def test_all_or_none_is_all_or_none() -> None:
    digests = [bytes(32), b"\xff" * 32]
    for seed in range(300):
        assert not any(is_rechecked(digest, 0.0, seed) for digest in digests)
        assert all(is_rechecked(digest, 1.0, seed) for digest in digests)


def test_another_seed_chooses_another_share() -> None:
    digests = [number.to_bytes(32, "big") for number in range(200)]
    shares = [[is_rechecked(digest, 0.5, seed) for digest in digests] for seed in (0, 1)]
    assert shares[0] != shares[1]


def test_jobs_are_read_only_as_results_are_taken() -> None:
    taken = 0

    def endless() -> Iterator[Job]:
        nonlocal taken
        while True:
            taken += 1
            yield Program("a", f"{taken}")

    run = run_rechecked(SeededBox(0), SeededBox(1), endless(), 0.01, 0)
    for number in range(1, 3000):
        next(run)
        assert taken <= number + 1000


def test_sandboxes_that_could_not_show_a_difference_are_refused() -> None:
    with pytest.raises(SandboxUsageError, match=r"both sandboxes have seed=3.*seed=4"):
        run_rechecked(SeededBox(3), SeededBox(3), [], 1.0, 0)
    with pytest.raises(SandboxUsageError, match=r"share=1\.5; expected a number from 0 to 1"):
        run_rechecked(SeededBox(0), SeededBox(1), [], 1.5, 0)


# --- the real sandbox ---------------------------------------------------------------------------

# So that on a busy machine, too, what computes is stopped for its CPU time.
ROOMY = replace(LIMITS, cpu_s=1.5, wall_s=6.0)

RACE = """
import os, threading, time
def work(number):
    time.sleep(os.urandom(1)[0] / 2000)
    print(number)
threads = [threading.Thread(target=work, args=[i]) for i in range(10)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
VARYING = {
    "set of strings": "print({'apple', 'pear', 'plum', 'fig', 'kiwi', 'lime', 'date'})",
    "hash": "print(hash('x') % 1000003)",
    "random": "import random; print(random.random())",
    "shuffle": "import random; x = list(range(50)); random.shuffle(x); print(x)",
    "numpy": "import numpy; print(numpy.random.rand(3))",
    "numpy generator": "import numpy; print(numpy.random.default_rng().integers(1 << 40))",
    "uuid4": "import uuid; print(uuid.uuid4())",
    "urandom": "import os; print(os.urandom(8))",
    "secrets": "import secrets; print(secrets.token_hex())",
    "clock": "import time; print(time.time_ns())",
    "counter": "import time; print(time.perf_counter_ns())",
    "address": "print(id(object()))",
    "default repr": "print(object())",
    "threads": RACE,
    "verdict by chance": "import random, sys; sys.exit(random.Random().randbytes(9)[0] % 256)",
    "assert on the hash": "assert hash('some text') % 2 == 0",
}
STEADY = {
    "text": "print('hello')",
    "seeded": "import random; random.seed(7); print(random.random())",
    "own generator": "import numpy; print(numpy.random.default_rng(7).random(3))",
    "sorted set": "print(sorted({'apple', 'pear', 'plum'}))",
    "set of numbers": "print({3, 1, 2, 10, 7})",
    "dict": "print({'b': 1, 'a': 2})",
    "error": "raise ValueError('x')",
    "spins": "i = 0\nwhile True:\n    i += 1\n    if i % 100000 == 0: print(i, flush=True)",
    "sleeps": "print('before', flush=True); import time; time.sleep(60)",
    "sympy": "import sympy; x, y = sympy.symbols('x y'); print(sympy.expand((x + y + 1) ** 3))",
}


@pytest.fixture(scope="module")
def boxes() -> Iterator[tuple[Sandbox, Sandbox]]:
    with open_default(workers=2) as box, open_default(workers=2, seed=1) as other:
        yield box, other


@pytest.mark.sandbox
def test_what_hangs_on_chance_is_found(boxes: tuple[Sandbox, Sandbox]) -> None:
    jobs = [Program(name, source, limits=ROOMY) for name, source in VARYING.items()]
    executions = list(run_rechecked(*boxes, jobs, 1.0, 0))
    steady = [e.id for e in executions if "nondeterministic" not in e.flags]
    # Of two runs, one in 256 ends with the same status.
    assert set(steady) <= {"verdict by chance"}


@pytest.mark.sandbox
def test_what_does_not_hang_on_chance_is_not_marked(boxes: tuple[Sandbox, Sandbox]) -> None:
    jobs = [Program(name, source, limits=ROOMY) for name, source in STEADY.items()]
    executions = list(run_rechecked(*boxes, jobs, 1.0, 0))
    assert [e.id for e in executions if "nondeterministic" in e.flags] == []
    assert all("rechecked" in e.flags for e in executions)
