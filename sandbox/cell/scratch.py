"""The writable folders of a cell: empty before every program, or the cell is thrown away."""

import os
import stat
from collections.abc import Callable, Sequence
from typing import NamedTuple

FOLDERS = ("/tmp", "/dev/shm")


class _State(NamedTuple):
    mode: int
    size: int
    changed_ns: int


def _state(folder: str) -> _State:
    seen = os.stat(folder)
    return _State(seen.st_mode, seen.st_size, seen.st_ctime_ns)


def empty_folder(folder: str) -> None:
    """Delete everything in a folder, however deep and whatever its modes.

    Folders inside folders are moved up one level first: recursion over a tree of ten thousand
    levels overflows the stack, and its paths are longer than the kernel takes.
    """
    pending = [os.path.join(folder, name) for name in os.listdir(folder)]
    while pending:
        path = pending.pop()
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            continue
        os.chmod(path, 0o700)
        for name in os.listdir(path):
            inner = os.path.join(path, name)
            if stat.S_ISDIR(os.lstat(inner).st_mode):
                os.chmod(inner, 0o700)
                moved = os.path.join(folder, os.urandom(12).hex())
                os.rename(inner, moved)
                pending.append(moved)
            else:
                os.unlink(inner)
        os.rmdir(path)


class Scratch:
    """Watches the writable folders and empties them after a program that touched them.

    Args:
        become_program: Turns a forked child into the user that owns the files; process 1 may not
            be allowed to delete them itself.
        folders: The folders to watch; must be empty now.
    """

    def __init__(
        self, become_program: Callable[[], None], folders: Sequence[str] = FOLDERS
    ) -> None:
        self._become_program = become_program
        self._clean = {folder: _state(folder) for folder in folders}

    def sweep(self) -> tuple[bool, bool]:
        """Return whether the program left anything, and whether all of it is gone now."""
        # Size and time of a tmpfs folder change with every entry made or removed in it.
        touched = [folder for folder, state in self._clean.items() if _state(folder) != state]
        if not touched:
            return False, True
        left_files = any(os.listdir(folder) for folder in touched)
        if left_files and not self._empty(touched):
            return True, False
        for folder in touched:
            # Where the program shares our uid it can write on the folder itself, for its successor.
            if _state(folder).mode != self._clean[folder].mode or os.listxattr(folder):
                return left_files, False
            # Or set its times, to any number: what stays must not say what the program wanted.
            os.utime(folder, ns=(0, 0))
            self._clean[folder] = _state(folder)
        return left_files, True

    def _empty(self, folders: Sequence[str]) -> bool:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self._become_program()
                for folder in folders:
                    empty_folder(folder)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        return status == 0 and not any(os.listdir(folder) for folder in folders)
