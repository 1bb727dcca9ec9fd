import os
from pathlib import Path

from sandbox.backends.cgroups import find_hierarchy


def describe(proc: Path, mountinfo: str, cgroup: str) -> Path:
    proc.mkdir()
    (proc / "mountinfo").write_text(mountinfo)
    (proc / "cgroup").write_text(cgroup)
    return proc


def test_version_2_uses_the_nearest_ancestor_that_hands_controllers_on(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    own = mount / "user.slice" / "app.slice" / "shell.scope"
    own.mkdir(parents=True)
    for folder, controllers in ((mount, "cpu memory pids"), (own.parent, "memory pids"), (own, "")):
        (folder / "cgroup.subtree_control").write_text(controllers)
        (folder / "cgroup.procs").write_text("")
    proc = describe(
        tmp_path / "proc",
        f"31 23 0:28 / {mount} rw,nosuid - cgroup2 cgroup2 rw\n",
        "0::/user.slice/app.slice/shell.scope\n",
    )
    found = find_hierarchy(proc)
    assert found is not None
    assert (found.label, found.folders) == ("cgroup-v2", {"all": own.parent})
    assert sorted(os.listdir(own.parent)) == [
        "cgroup.procs",
        "cgroup.subtree_control",
        "shell.scope",
    ]


def test_version_1_needs_memory_and_pids(tmp_path: Path) -> None:
    lines = []
    for number, name in enumerate(("memory", "pids", "cpuacct")):
        (tmp_path / name / "job").mkdir(parents=True)
        lines.append(f"{number} 1 0:3 / {tmp_path}/{name} rw - cgroup cgroup rw,{name}")
    cgroup = "4:memory:/job\n3:pids:/\n2:cpuacct:/\n0::/\n"
    found = find_hierarchy(describe(tmp_path / "both", "\n".join(lines), cgroup))
    assert found is not None
    assert found.label == "cgroup-v1"
    assert found.folders["memory"] == tmp_path / "memory" / "job"
    assert find_hierarchy(describe(tmp_path / "one", lines[0], cgroup)) is None


def test_no_hierarchy_is_none_and_no_error(tmp_path: Path) -> None:
    assert find_hierarchy(tmp_path / "missing") is None
    assert find_hierarchy(describe(tmp_path / "proc", "", "0::/\n")) is None
