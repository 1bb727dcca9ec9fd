"""Names of the images: each carries a hash of everything that goes into it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
CELL_CODE = HERE.parent / "cell"

SUITE = "bookworm"
"""Debian release of a root that debootstrap makes; has the Python below."""

PYTHON = "3.11"
"""Python of the image; the pinned wheels are built for it."""

SYSTEM_PACKAGES = ("python3-minimal", "libpython3-stdlib", "tzdata")
"""What debootstrap adds to the smallest system."""


def _hash(parts: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in parts:
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _files(*names: str) -> list[tuple[str, bytes]]:
    return [(name, (HERE / name).read_bytes()) for name in names]


def root_tag() -> str:
    """Return the name of the image with the bare system that debootstrap made."""
    return "selfloom-root:" + _hash([("root", " ".join((SUITE, *SYSTEM_PACKAGES)).encode())])


def base_tag() -> str:
    """Return the name of the image with the system and the pinned packages."""
    recipe = _files("base.Dockerfile", "requirements.txt")
    return "selfloom-base:" + _hash([("root", root_tag().encode()), *recipe])


def cell_sources() -> list[Path]:
    """Return the files of the cell's own code."""
    return sorted(CELL_CODE.glob("*.py"))


def image_tag() -> str:
    """Return the name of the image that this version of the code runs its cells from."""
    parts = [("base", base_tag().encode()), *_files("cell.Dockerfile", "passwd", "group")]
    parts += [(path.name, path.read_bytes()) for path in cell_sources()]
    return "selfloom-cell:" + _hash(parts)
