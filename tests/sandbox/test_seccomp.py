import errno
import struct

import pytest

from sandbox.cell.seccomp import build_filter

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL = 0x7FFF0000, 0x80000000
DENY, MISSING = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


def decide(code: bytes, arch: int, number: int, *arguments: int) -> int:
    """Run a filter as the kernel would, on the system call's description."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    instructions = list(struct.iter_unpack("<HBBI", code))
    position, accumulator = 0, 0
    while True:
        operation, if_true, if_false, value = instructions[position]
        position += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif operation == 0x06:
            return int(value)
        else:
            holds = {
                0x15: accumulator == value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[operation]
            position += if_true if holds else if_false


# Name: numbers on x86_64 and aarch64, arguments, decision.
CALLS = [
    ("read", (0, 63), (0,), ALLOW),
    ("execve", (59, 221), (), ALLOW),
    ("splice", (275, 76), (), ALLOW),
    ("wait4", (61, 260), (), ALLOW),
    ("local socket", (41, 198), (1, 1), ALLOW),
    ("internet socket", (41, 198), (2, 1), DENY),
    ("local pair", (53, 199), (1, 1), ALLOW),
    ("pair of tipc", (53, 199), (30, 1), DENY),
    ("vsock", (41, 198), (40, 1), DENY),
    ("netlink", (41, 198), (16, 3), DENY),
    ("fork", (56, 220), (17,), ALLOW),
    ("thread", (56, 220), (0x3D0F00,), ALLOW),
    ("new user namespace", (56, 220), (0x10000011,), DENY),
    ("new cgroup namespace", (56, 220), (0x02000011,), DENY),
    ("clone3", (435, 435), (), MISSING),
    ("own limit", (302, 261), (0, 7), ALLOW),
    ("other's limit", (302, 261), (1, 7), DENY),
    ("own limit of core dumps", (302, 261), (0, 4, 0x1000), DENY),
    ("own limit of core dumps, high", (302, 261), (0, 4, 1 << 40), DENY),
    ("own limit of core dumps, read", (302, 261), (0, 4, 0), ALLOW),
    ("old way to set it", (160, 164), (4,), DENY),
    ("old way to set another", (160, 164), (7,), ALLOW),
    ("huge pages", (9, 222), (0, 4096, 3, 0x40022), DENY),
    ("small pages", (9, 222), (0, 4096, 3, 0x22), ALLOW),
    ("file of huge pages", (319, 279), (0, 4), DENY),
    ("file in memory", (319, 279), (0, 1), ALLOW),
    ("watching a folder", (72, 25), (3, 1026), DENY),
    ("duplicating a descriptor", (72, 25), (3, 0), ALLOW),
    ("not blocking", (72, 25), (1, 4, 0x800), ALLOW),
    ("local pipe", (293, 59), (0, 0x80000), ALLOW),
    ("writing disks out", (162, 81), (), DENY),
    ("last known call", (456, 456), (), ALLOW),
    ("call of later kernels", (457, 457), (), MISSING),
    ("own priority", (141, 140), (0, 0), ALLOW),
    ("other's priority", (141, 140), (0, 1), DENY),
    ("priority of a user", (141, 140), (2, 0), DENY),
    ("own input priority", (251, 30), (1, 0), ALLOW),
    ("input priority of a user", (251, 30), (3, 0), DENY),
    ("ptrace", (101, 117), (), DENY),
    ("mount", (165, 40), (), DENY),
    ("unshare", (272, 97), (), DENY),
    ("io_uring_setup", (425, 425), (), DENY),
    ("bpf", (321, 280), (), DENY),
    ("keyctl", (250, 219), (), DENY),
    ("shmget", (29, 194), (), DENY),
    ("clock_settime", (227, 112), (), DENY),
]


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(("name", "numbers", "arguments", "decision"), CALLS)
def test_filter_decides(
    machine: str, name: str, numbers: tuple[int, int], arguments: tuple[int, ...], decision: int
) -> None:
    number = numbers[list(ARCHITECTURES).index(machine)]
    code = build_filter(machine)
    assert decide(code, ARCHITECTURES[machine], number, *arguments) == decision, name


@pytest.mark.parametrize(("machine", "direct"), [("x86_64", 0x4000), ("aarch64", 0x10000)])
def test_pipes_of_packets_are_refused(machine: str, direct: int) -> None:
    column, code = list(ARCHITECTURES).index(machine), build_filter(machine)
    for numbers, arguments in (((72, 25), (1, 4, direct | 1)), ((293, 59), (0, direct))):
        assert decide(code, ARCHITECTURES[machine], numbers[column], *arguments) == DENY


def test_other_abis_are_killed() -> None:
    assert decide(build_filter("x86_64"), 0x40000003, 0) == KILL
    assert decide(build_filter("x86_64"), ARCHITECTURES["x86_64"], 0x40000000) == KILL
    assert decide(build_filter("aarch64"), 0x40000028, 0) == KILL


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="riscv64"):
        build_filter("riscv64")
