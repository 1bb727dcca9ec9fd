import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Limits, Program, Verdict
from sandbox.backends.cgroups import Usage
from sandbox.cell.frames import (
    Done,
    Killed,
    MalformedRecordError,
    Record,
    RecordKind,
    Seen,
    pack_record,
    take_record,
)
from sandbox.judging import Judgement, Outcome, compare_exact, compare_lines, judge

NONCE = b"n" * 16
STARTED = pack_record(NONCE, RecordKind.STARTED, 0)
END = pack_record(NONCE, RecordKind.END, 0)


def taken(data: bytes) -> list[Record] | None:
    """What the parent makes of the bytes of a report pipe."""
    rest, records = bytearray(data), []
    try:
        while (record := take_record(rest)) is not None:
            records.append(record)
    except MalformedRecordError:
        return None
    return None if rest else records


def judged(
    records: bytes = STARTED + END,
    *,
    status: int = 0,
    killed: Killed = Killed.NO,
    seen: Seen = Seen.NOTHING,
    stdout: bytes = b"",
    expected: str | None = None,
    cpu_ms: int = 1,
    oom_kills: int = 0,
) -> Judgement:
    done = Done(status, killed, seen, 0, 1_000_000, cpu_ms * 1_000_000, 1024)
    before = Usage(0, 0, 0, None)
    after = Usage(cpu_ms * 1_000_000, oom_kills, 0, 1 << 20)
    outcome = Outcome(NONCE, done, stdout, b"", taken(records), before, after)
    program = Program(id="p", source="", expected_stdout=expected)
    return judge(program, outcome, Limits(cpu_s=1, wall_s=3), compare_lines)


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        ({}, Verdict.ACCEPTED),
        ({"stdout": b"42\n", "expected": "42"}, Verdict.ACCEPTED),
        ({"stdout": b"42\n", "expected": "43"}, Verdict.WRONG_ANSWER),
        ({"stdout": b"42\n43", "expected": "42"}, Verdict.WRONG_ANSWER),
        ({"records": STARTED}, Verdict.EARLY_EXIT),
        ({"records": STARTED, "stdout": b"42", "expected": "42"}, Verdict.EARLY_EXIT),
        ({"records": STARTED, "status": 3 << 8}, Verdict.NONZERO_EXIT),
        ({"records": STARTED, "status": signal.SIGSEGV}, Verdict.SIGNAL),
        # Anybody can send the signal; only with the time used up was it the limit's.
        ({"records": STARTED, "status": signal.SIGXCPU}, Verdict.SIGNAL),
        ({"records": STARTED, "status": signal.SIGXCPU, "cpu_ms": 1010}, Verdict.CPU_TIMEOUT),
        ({"records": b""}, Verdict.SANDBOX_FAULT),
        ({"records": b"", "killed": Killed.WALL}, Verdict.SANDBOX_FAULT),
        ({"records": STARTED, "killed": Killed.WALL}, Verdict.WALL_TIMEOUT),
        ({"records": STARTED, "killed": Killed.WALL, "cpu_ms": 1010}, Verdict.CPU_TIMEOUT),
        ({"records": STARTED, "killed": Killed.CPU}, Verdict.CPU_TIMEOUT),
        ({"records": STARTED, "killed": Killed.MEMORY}, Verdict.MEMORY_LIMIT),
        ({"records": STARTED, "killed": Killed.OUTPUT}, Verdict.OUTPUT_LIMIT),
        # A program that hides its CPU time from process 1 does not hide it from the kernel.
        ({"cpu_ms": 2000}, Verdict.CPU_TIMEOUT),
        # A grandchild was killed for memory while the program itself ended well.
        ({"oom_kills": 1}, Verdict.MEMORY_LIMIT),
        ({"seen": Seen.STDOUT_CUT}, Verdict.OUTPUT_LIMIT),
        ({"records": STARTED + END + END}, Verdict.TAMPERING),
        ({"records": STARTED + STARTED}, Verdict.TAMPERING),
        ({"records": END}, Verdict.TAMPERING),
        ({"records": STARTED + END + b"x"}, Verdict.TAMPERING),
        ({"records": STARTED + pack_record(b"m" * 16, RecordKind.END, 0)}, Verdict.TAMPERING),
        ({"records": STARTED + pack_record(NONCE, RecordKind.EXIT, 0)}, Verdict.EARLY_EXIT),
        (
            {"records": STARTED + pack_record(NONCE, RecordKind.EXIT, 2), "status": 2 << 8},
            Verdict.NONZERO_EXIT,
        ),
        (
            {"records": STARTED + pack_record(NONCE, RecordKind.NOT_COMPILED, 1), "status": 256},
            Verdict.COMPILE_ERROR,
        ),
        (
            {
                "records": STARTED + pack_record(NONCE, RecordKind.EXCEPTION, 1, b"MemoryError"),
                "status": 256,
            },
            Verdict.MEMORY_LIMIT,
        ),
    ],
)
def test_verdict_follows_from_what_was_measured(
    arguments: dict[str, object], verdict: Verdict
) -> None:
    assert judged(**arguments).verdict is verdict  # type: ignore[arg-type]


@given(st.binary(max_size=200), st.text(max_size=20))
def test_no_record_turns_wrong_output_into_right_output(records: bytes, expected: str) -> None:
    verdict = judged(records, stdout=expected.encode() + b"x", expected=expected).verdict
    assert verdict is not Verdict.ACCEPTED


def test_a_missing_module_is_named() -> None:
    record = pack_record(NONCE, RecordKind.EXCEPTION, 1, b"ModuleNotFoundError:numpy")
    found = judged(STARTED + record, status=256)
    assert (found.verdict, found.flags) == (
        Verdict.RUNTIME_ERROR,
        ("missing_dependency:numpy",),
    )


@given(
    st.lists(st.tuples(st.sampled_from(RecordKind), st.integers(-9, 255), st.binary(max_size=200)))
)
def test_records_come_back_as_they_were_packed(
    items: list[tuple[RecordKind, int, bytes]],
) -> None:
    packed = b"".join(pack_record(NONCE, *item) for item in items)
    assert taken(packed) == [Record(NONCE, *item) for item in items]


@given(st.lists(st.binary(max_size=6)), st.integers(0, 3), st.sampled_from([b"", b" ", b"\r"]))
def test_lines_ignore_blanks_at_ends_and_nothing_else(
    lines: list[bytes], empty: int, blank: bytes
) -> None:
    expected = b"\n".join(lines)
    assert compare_lines(expected, b"\n".join(line + blank for line in lines) + b"\n" * empty)
    assert not compare_lines(expected, expected.rstrip() + b"\nx")
    assert not compare_lines(b"x\n" + expected, expected.replace(b"x", b"y"))
    assert compare_exact(expected, expected) and not compare_exact(expected, expected + b"\n")
