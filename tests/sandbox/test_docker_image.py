import shutil
from pathlib import Path

import pytest

from sandbox import Program, SandboxUnavailableError, open_sandbox
from sandbox.backends.engine import connect, image_id
from sandbox.image import build, build_image, image_tag, tags
from sandbox.image.tags import root_tag
from tests.sandbox.engines import engine_at

pytestmark = [pytest.mark.docker, pytest.mark.sandbox]


def test_the_name_of_the_image_follows_everything_that_goes_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tags.HERE, tmp_path / "image")
    shutil.copytree(tags.CELL_CODE, tmp_path / "cell")
    named = {image_tag()}
    monkeypatch.setattr(tags, "HERE", tmp_path / "image")
    monkeypatch.setattr(tags, "CELL_CODE", tmp_path / "cell")
    assert {image_tag()} == named
    changed = ("image/requirements.txt", "image/base.Dockerfile", "image/cell.Dockerfile")
    for number, name in enumerate((*changed, "image/passwd", "cell/zygote.py"), start=2):
        with (tmp_path / name).open("a") as file:
            file.write("# more\n")
        named.add(image_tag())
        assert len(named) == number, name
    (tmp_path / "cell" / "new.py").touch()
    assert image_tag() not in named


def test_what_is_there_is_not_built_again(docker_engine: str) -> None:
    lines: list[str] = []
    with engine_at(docker_engine):
        assert build_image(progress=lines.append) == image_tag()
    assert lines == []


@pytest.mark.slow
def test_an_image_can_be_built_on_one_that_somebody_else_made(
    docker_engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_at(docker_engine), connect(60.0) as engine:
        # Any image with Python will do; this one is sure to be there, unless a registry was used.
        root = root_tag() if image_id(engine, root_tag()) else "python:3.11-slim-bookworm"
        monkeypatch.setattr(build, "base_tag", lambda: "selfloom-base:test")
        monkeypatch.setattr(build, "image_tag", lambda: "selfloom-cell:test")
        try:
            lines: list[str] = []
            assert build_image(source="registry", root=root, progress=lines.append)
            assert not any("debootstrap" in line for line in lines)
            config = engine.inspect_image("selfloom-cell:test")["Config"]
            assert config["Labels"]["selfloom.image"] == "cell"
        finally:
            for tag in ("selfloom-cell:test", "selfloom-base:test"):
                if image_id(engine, tag) is not None:
                    engine.remove_image(tag, force=True)


def test_a_root_that_cannot_be_had_is_named(
    docker_engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "base_tag", lambda: "selfloom-base:test")
    monkeypatch.setattr(build, "install_packages", lambda folder, *rest: folder.mkdir())
    with (
        engine_at(docker_engine),
        pytest.raises(SandboxUnavailableError, match="localhost:1/none:1 from a registry: "),
    ):
        build_image(source="registry", root="localhost:1/none:1")


def test_the_image_has_nothing_that_no_program_needs(docker_engine: str) -> None:
    source = """
import os, stat
found = []
for top in ("/bin", "/sbin", "/etc", "/usr", "/opt", "/var", "/home", "/root", "/run"):
    for folder, folders, names in os.walk(top):
        for name in (*folders, *names):
            path = os.path.join(folder, name)
            seen = os.lstat(path)
            if stat.S_ISREG(seen.st_mode) and seen.st_mode & 0o6000:
                found.append(path)
            if stat.S_ISREG(seen.st_mode) and seen.st_mode & 0o002:
                found.append(path)
            if not os.access(path, os.R_OK) and path.startswith("/opt"):
                found.append(path)
print(found, os.path.exists("/etc/shadow"), os.readlink("/var/tmp"))
import json, numpy, sympy, mpmath, sortedcontainers
print(all(os.path.exists(m.__cached__) for m in (json, numpy, sympy, mpmath, sortedcontainers)))
"""
    with engine_at(docker_engine), open_sandbox("docker", workers=1) as box:
        (execution,) = box.run([Program("a", source)])
    assert execution.stdout == "[] False /tmp\nTrue\n", execution
