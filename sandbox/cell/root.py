"""Builds the file system of an `unshare` cell from inside its new namespaces, then starts it.

Runs by path, before the jail exists, as process 1 of the new namespaces; imports the standard
library only.
"""

import ctypes
import json
import os
import socket
import sys
from typing import Any

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MNT_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_SYS_MOUNT_SETATTR = 442
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")
    )


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()
    )
    _check(result, f"mount {source} on {target}")


def _restrict(path: str, attributes: int, *, recursive: bool) -> None:
    attr = _MountAttr(attributes, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        path.encode(),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        ctypes.byref(attr),
        ctypes.c_size_t(ctypes.sizeof(attr)),
    )
    _check(result, f"mount_setattr {path} (Linux 5.12 or later is needed)")


def _pivot(new: str, old: str) -> None:
    number = _SYS_PIVOT_ROOT[os.uname().machine]
    _check(_libc.syscall(ctypes.c_long(number), new.encode(), old.encode()), f"pivot_root {new}")


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "a"):
            pass
    _mount(source, target, "", _MS_BIND | _MS_REC)


def mount_scratch(root: str, size_mib: int, num_inodes: int) -> None:
    """Mount the writable folders of a cell, with limits of size and of number of files.

    Args:
        root: Path of the new root, without a slash at its end.
        size_mib: Size of each.
        num_inodes: Files and folders in each.
    """
    options = f"size={size_mib}m,nr_inodes={num_inodes},mode=1777"
    for folder in ("/tmp", "/dev/shm"):
        flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
        _mount("tmpfs", root + folder, "tmpfs", flags, options)


def build(layout: dict[str, Any]) -> None:
    """Make the described file system the root of this mount namespace."""
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    # The host's /tmp stays reachable under /old: sources may lie there.
    _mount("tmpfs", "/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    os.mkdir("/tmp/new")
    os.mkdir("/tmp/old")
    _pivot("/tmp", "/tmp/old")
    os.chdir("/")
    new = "/new"
    _mount("tmpfs", new, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for folder in ("/tmp", "/proc", "/dev/shm"):
        os.makedirs(new + folder)
    for source, target in layout["binds"]:
        _bind("/old" + source, new + target)
        _restrict(new + target, _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, recursive=True)
    for device in layout["devices"]:
        _bind("/old" + device, new + device)
        _restrict(new + device, _ATTR_NOSUID, recursive=False)
    for target, path in layout["symlinks"]:
        os.makedirs(os.path.dirname(new + path), exist_ok=True)
        os.symlink(target, new + path)
    _mount("proc", new + "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    mount_scratch(new, layout["tmp_mib"], layout["tmp_inodes"])
    _restrict(new, _ATTR_RDONLY, recursive=False)
    os.chdir(new)
    _pivot(".", ".")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount of the old root")
    os.chdir("/")


def main() -> None:
    """Build the root that the first argument describes, then become the zygote inside it."""
    layout = json.loads(sys.argv[1])
    socket.sethostname(layout["hostname"])
    build(layout)
    os.execve(layout["argv"][0], layout["argv"], layout["environment"])


if __name__ == "__main__":
    main()
