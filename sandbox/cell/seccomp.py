"""A system-call filter for programs, written as classic BPF by hand.

It denies what a small Python program never needs and kernel exploits often do: other network
families than local sockets, tracing, mounting, new namespaces, io_uring, bpf, keys, System V IPC,
module loading, clock setting; and what reaches past the cell's limits or into the host's day:
watching its files, writing its disks out, its huge pages, its handler of core dumps. System calls
of another ABI kill the process, those newer than the table do not exist.

Source: the deny list follows the default profile of Docker plus what the hostile programs of the
test suite tried; numbers from the kernel's `unistd_64.h` and `asm-generic/unistd.h`.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator

_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_ERRNO = 0x00050000

_LOAD = 0x20
_JUMP_EQ = 0x15
_JUMP_GE = 0x35
_JUMP_SET = 0x45
_RETURN = 0x06

_ARCH_OFFSET, _NUMBER_OFFSET, _ARG_OFFSET = 4, 0, 16

# Audit architecture and the column of the tables below.
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_X32_BIT = 0x40000000

# Name: number on x86_64, number on aarch64 (-1: does not exist there).
_DENIED: dict[str, tuple[int, int]] = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280),
    "cachestat": (451, 451), "chroot": (161, 51), "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106), "fanotify_init": (300, 262), "finit_module": (313, 273),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430), "fspick": (433, 433),
    "init_module": (175, 105), "inotify_init": (253, -1), "inotify_init1": (294, 26),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425), "ioperm": (173, -1), "iopl": (172, -1), "kcmp": (312, 272),
    "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219),
    "lookup_dcookie": (212, 18), "mbind": (237, 235), "memfd_secret": (447, 447),
    "migrate_pages": (256, 238), "modify_ldt": (154, -1), "mount": (165, 40),
    "mount_setattr": (442, 442), "move_mount": (429, 429), "move_pages": (279, 239),
    "mq_getsetattr": (245, 185), "mq_notify": (244, 184), "mq_open": (240, 180),
    "mq_timedreceive": (243, 183), "mq_timedsend": (242, 182), "mq_unlink": (241, 181),
    "msgctl": (71, 187), "msgget": (68, 186), "msgrcv": (70, 188), "msgsnd": (69, 189),
    "name_to_handle_at": (303, 264), "nfsservctl": (180, 42), "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "personality": (135, 92),
    "pidfd_getfd": (438, 438), "pivot_root": (155, 41), "process_madvise": (440, 440),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "reboot": (169, 142),
    "request_key": (249, 218), "semctl": (66, 191), "semget": (64, 190), "semop": (65, 193),
    "semtimedop": (220, 192), "set_mempolicy": (238, 237), "setdomainname": (171, 162),
    "sethostname": (170, 161), "setns": (308, 268), "settimeofday": (164, 170),
    "shmat": (30, 196), "shmctl": (31, 195), "shmdt": (67, 197), "shmget": (29, 194),
    "swapoff": (168, 225), "swapon": (167, 224), "sync": (162, 81),
    "syncfs": (306, 267), "syslog": (103, 116), "umount2": (166, 39),
    "unshare": (272, 97), "userfaultfd": (323, 282), "uselib": (134, -1), "ustat": (136, -1),
    "vhangup": (153, 58),
}  # fmt: skip

# glibc falls back to clone, whose flags a filter can read, when clone3 does not exist.
_MISSING: dict[str, tuple[int, int]] = {"clone3": (435, 435)}

# The first number that is not judged here; later kernels must not open what was closed.
_FIRST_UNKNOWN = 457

# Numbers, an argument and the only value that it may have.
_AF_UNIX = 1
_ONLY: dict[str, tuple[tuple[int, int], int, int]] = {
    "socket": ((41, 198), 0, _AF_UNIX),
    "socketpair": ((53, 199), 0, _AF_UNIX),
}

# Numbers, an argument and a value that it may not have.
_RLIMIT_CORE = 4
_NEVER: dict[str, tuple[tuple[int, int], int, int]] = {
    "setrlimit": ((160, 164), 0, _RLIMIT_CORE),
}

# Numbers, an argument and bits that may not be set in it. Huge pages come from a store of the host
# that no memory limit of the cell counts.
_NEW_NAMESPACES, _MAP_HUGETLB, _MFD_HUGETLB = 0x7E020000, 0x40000, 4
_NO_BITS: dict[str, tuple[tuple[int, int], int, int]] = {
    "clone": ((56, 220), 0, _NEW_NAMESPACES),
    "mmap": ((9, 222), 3, _MAP_HUGETLB),
    "memfd_create": ((319, 279), 1, _MFD_HUGETLB),
}

_PRLIMIT = (302, 261)
_FCNTL, _PIPE2 = (72, 25), (293, 59)
_F_SETFL, _F_NOTIFY = 4, 1026
_O_DIRECT = (0x4000, 0x10000)

# Calls that may act on the caller but on nobody else: numbers, then argument and needed value.
_SELF_ONLY: dict[str, tuple[tuple[int, int], dict[int, int]]] = {
    "sched_setparam": ((142, 118), {0: 0}),
    "sched_setscheduler": ((144, 119), {0: 0}),
    "sched_setaffinity": ((203, 122), {0: 0}),
    "sched_setattr": ((314, 274), {0: 0}),
    # The first argument says what the second one is: a process, not a group or a user.
    "setpriority": ((141, 140), {0: 0, 1: 0}),
    "ioprio_set": ((251, 30), {0: 1, 1: 0}),
}

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_MODE_FILTER = 2


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _refuse(error: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | error)


def _blocks(column: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield numbers and the instructions for each that look at its arguments and decide.

    A block loses the number when it loads an argument, so it must end in a verdict.
    """
    allow, refuse = _instruction(_RETURN, _ALLOW), _refuse(errno.EPERM)

    def load(argument: int, half: int = 0) -> bytes:
        return _instruction(_LOAD, _ARG_OFFSET + 8 * argument + 4 * half)

    for numbers, argument, value in _ONLY.values():
        yield numbers[column], [load(argument), _instruction(_JUMP_EQ, value, 1, 0), refuse, allow]
    for numbers, argument, value in _NEVER.values():
        yield numbers[column], [load(argument), _instruction(_JUMP_EQ, value, 0, 1), refuse, allow]
    for numbers, argument, bits in _NO_BITS.values():
        yield numbers[column], [load(argument), _instruction(_JUMP_SET, bits, 0, 1), refuse, allow]
    for numbers, needed in _SELF_ONLY.values():
        block = []
        for argument, value in needed.items():
            block += [load(argument), _instruction(_JUMP_EQ, value, 1, 0), refuse]
        yield numbers[column], [*block, allow]
    # A pipe of packets keeps its kind when process 1 moves what is in it on to the parent, and a
    # reader with a small buffer then loses a part of what it was told to expect.
    direct = _O_DIRECT[column]
    yield _PIPE2[column], [load(1), _instruction(_JUMP_SET, direct, 0, 1), refuse, allow]
    yield (
        _FCNTL[column],
        [
            *(load(1), _instruction(_JUMP_EQ, _F_NOTIFY, 0, 1), refuse),
            *(_instruction(_JUMP_EQ, _F_SETFL, 1, 0), allow),
            *(load(2), _instruction(_JUMP_SET, direct, 0, 1), refuse, allow),
        ],
    )
    # Own limits only, and of core dumps not even those: 1 stops handlers that take them at any
    # size, 0 does not. Reading (no new limit, a null pointer of two halves) harms nobody.
    yield (
        _PRLIMIT[column],
        [
            *(load(0), _instruction(_JUMP_EQ, 0, 1, 0), refuse),
            *(load(1), _instruction(_JUMP_EQ, _RLIMIT_CORE, 1, 0), allow),
            *(load(2), _instruction(_JUMP_EQ, 0, 1, 0), refuse),
            *(load(2, half=1), _instruction(_JUMP_EQ, 0, 1, 0), refuse),
            allow,
        ],
    )


def build_filter(machine: str) -> bytes:
    """Return the BPF program for a machine name as `os.uname().machine` gives it.

    Args:
        machine: `x86_64` or `aarch64`.

    Returns:
        Instructions of 8 bytes each.

    Raises:
        NotImplementedError: No table for this machine.
    """
    if machine not in _MACHINES:
        raise NotImplementedError(
            f"no system-call filter for the machine {machine!r}; "
            f"known: {', '.join(sorted(_MACHINES))}"
        )
    arch, column = _MACHINES[machine]
    code = [
        _instruction(_LOAD, _ARCH_OFFSET),
        _instruction(_JUMP_EQ, arch, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER_OFFSET),
    ]
    if machine == "x86_64":
        code += [_instruction(_JUMP_GE, _X32_BIT, 0, 1), _instruction(_RETURN, _KILL)]
    for table, error in ((_DENIED, errno.EPERM), (_MISSING, errno.ENOSYS)):
        for numbers in table.values():
            if numbers[column] >= 0:
                code += [_instruction(_JUMP_EQ, numbers[column], 0, 1), _refuse(error)]
    code += [_instruction(_JUMP_GE, _FIRST_UNKNOWN, 0, 1), _refuse(errno.ENOSYS)]
    for number, block in _blocks(column):
        code += [_instruction(_JUMP_EQ, number, 0, len(block)), *block]
    code.append(_instruction(_RETURN, _ALLOW))
    return b"".join(code)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install_filter() -> None:
    """Put the filter on this process and all its descendants, for good.

    Raises:
        OSError: The kernel refused.
        NotImplementedError: No table for this machine.
    """
    code = build_filter(os.uname().machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")
