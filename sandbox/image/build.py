"""Builds the cell image with the engine that will run it."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from sandbox.backends.engine import connect, explained, image_id, require_image
from sandbox.errors import SandboxUnavailableError
from sandbox.image.root import (
    MACHINES,
    Progress,
    install_packages,
    make_root,
    pack_root,
    why_no_debootstrap,
)
from sandbox.image.tags import HERE, base_tag, cell_sources, image_tag, root_tag

Source = Literal["auto", "debootstrap", "registry"]

_BUILD_TIMEOUT_S = 900.0
_LOOK_TIMEOUT_S = 20.0


def _silent(line: str) -> None:
    del line


def _follow(messages: Iterable[Mapping[str, Any]], progress: Progress, tag: str) -> None:
    for message in messages:
        if "error" in message:
            raise SandboxUnavailableError(f"building {tag} failed: {message['error'].strip()}")
        for line in str(message.get("stream", message.get("status", ""))).splitlines():
            if line.strip():
                progress(line)


def _build(
    engine: Any, context: Path, dockerfile: str, tag: str, arguments: dict[str, str],
    progress: Progress,
) -> None:  # fmt: skip
    shutil.copy(HERE / dockerfile, context / "Dockerfile")
    with explained(f"building {tag}"):
        messages = engine.build(
            path=str(context),
            tag=tag,
            buildargs=arguments,
            rm=True,
            forcerm=True,
            decode=True,
            network_mode="none",
            use_config_proxy=False,
        )
        _follow(messages, progress, tag)


def _import_root(engine: Any, mirror: str | None, progress: Progress) -> None:
    """Make the image of a new system, unless the engine has it."""
    if image_id(engine, root_tag()) is not None:
        return
    with tempfile.TemporaryDirectory(prefix="selfloom-image-") as scratch:
        archive = Path(scratch, "root.tar")
        make_root(Path(scratch, "root"), mirror, progress)
        pack_root(Path(scratch, "root"), archive)
        progress(f"importing {archive.stat().st_size >> 20} MiB as {root_tag()}")
        with archive.open("rb") as data, explained(f"importing {root_tag()}"):
            engine.import_image_from_data(data, repository=root_tag())


def _build_base(engine: Any, machine: str, root: str, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix="selfloom-image-") as scratch:
        install_packages(Path(scratch, "packages"), machine, progress)
        _build(engine, Path(scratch), "base.Dockerfile", base_tag(), {"ROOT": root}, progress)


def _build_cell(engine: Any, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix="selfloom-image-") as scratch:
        context = Path(scratch)
        (context / "cell").mkdir()
        for path in cell_sources():
            shutil.copy(path, context / "cell")
        for name in ("passwd", "group"):
            shutil.copy(HERE / name, context)
        _build(engine, context, "cell.Dockerfile", image_tag(), {"BASE": base_tag()}, progress)


def find_image() -> str:
    """Return the name of the cell image in the engine.

    Raises:
        SandboxUnavailableError: No engine, or it has no such image; says what to do.
    """
    with connect(timeout_s=_LOOK_TIMEOUT_S) as engine:
        require_image(engine, tag := image_tag())
    return tag


def build_image(
    *,
    source: Source = "auto",
    root: str = "python:3.11-slim-bookworm",
    mirror: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> str:
    """Return the name of the cell image; builds what is missing of it.

    Args:
        source: Where the system comes from: `registry` for the image `root`, which the engine
            pulls, or `debootstrap` for a new Debian (root only, no registry needed). `auto` tries
            debootstrap, then the registry.
        root: Image to build on; has Python 3.11 as `python3`.
        mirror: Debian mirror for debootstrap, None for its own default.
        progress: Gets lines that say what happens.

    Raises:
        SandboxUnavailableError: No engine, or the build failed; says why.
    """
    progress = progress or _silent
    with connect(timeout_s=_BUILD_TIMEOUT_S) as engine:
        if image_id(engine, base_tag()) is None:
            machine = MACHINES.get(str(engine.version()["Arch"]), "")
            if not machine:
                raise SandboxUnavailableError(
                    f"the engine runs on {engine.version()['Arch']}; the pinned packages are for "
                    f"{' and '.join(MACHINES)}"
                )
            _build_base_from(engine, machine, source, root, mirror, progress)
        if image_id(engine, image_tag()) is None:
            _build_cell(engine, progress)
    return image_tag()


def _build_base_from(
    engine: Any, machine: str, source: Source, root: str, mirror: str | None, progress: Progress
) -> None:
    failures = []
    if source != "registry":
        reason = why_no_debootstrap(machine)
        try:
            if reason is None:
                _import_root(engine, mirror, progress)
                return _build_base(engine, machine, root_tag(), progress)
        except SandboxUnavailableError as error:
            reason = str(error)
        failures.append(f"- debootstrap: {reason}")
        progress(failures[-1])
    if source != "debootstrap":
        try:
            return _build_base(engine, machine, root, progress)
        except SandboxUnavailableError as error:
            failures.append(f"- {root} from a registry: {error}")
    raise SandboxUnavailableError("the image cannot be built here:\n" + "\n".join(failures))
