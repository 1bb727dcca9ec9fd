import os
from pathlib import Path

from sandbox.cell.scratch import Scratch, empty_folder


def test_everything_is_removed_however_deep_or_closed(tmp_path: Path) -> None:
    top = os.open(tmp_path, os.O_RDONLY)
    here = top
    for _ in range(600):
        os.mkdir("d" * 200, dir_fd=here)
        deeper = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "file").write_text("x")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / "dangling").symlink_to("/no/such/path")
    os.mkfifo(tmp_path / "fifo")
    empty_folder(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert os.listdir("/etc")


def test_sweep_says_what_it_found(tmp_path: Path) -> None:
    scratch = Scratch(lambda: None, [str(tmp_path)])
    assert scratch.sweep() == (False, True)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert scratch.sweep() == (True, True)
    assert list(tmp_path.iterdir()) == []
    assert scratch.sweep() == (False, True)
    os.utime(tmp_path, (1, 42))
    assert scratch.sweep() == (False, True)
    assert tmp_path.stat().st_mtime == 0
    tmp_path.chmod(0o700 if tmp_path.stat().st_mode & 0o777 != 0o700 else 0o755)
    assert scratch.sweep() == (False, False)
