import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import Environment, Program, Sandbox, SandboxUsageError, Verdict, open_sandbox
from sandbox.environment import default_packages, installed_folders
from sandbox.errors import SandboxUnavailableError
from tests.sandbox.conftest import LIMITS
from tests.sandbox.opened import open_default

pytestmark = pytest.mark.sandbox

ROOMY = replace(LIMITS, cpu_s=20.0, wall_s=60.0)
HEAVY = {
    "numpy": (
        "import numpy as np\n"
        "rng = np.random.default_rng(3)\n"
        "a = rng.normal(size=(120, 120))\n"
        "print(repr(np.linalg.eigvals(a @ a.T)), a.sum(), np.fft.fft(a[0])[:4], a.std())"
    ),
    "sympy": (
        "from sympy import *\n"
        "x, y, a = symbols('x y a')\n"
        "print(integrate(exp(-x) * sin(x), x), solve(x**4 - 5 * x**2 + y, x))\n"
        "print(factor(x**6 - 1), groebner([x * y - a, x + y - 1], x, y), hash(x + y))"
    ),
    "mpmath": "import mpmath as m; m.mp.dps = 60; print(m.zeta(3), m.quad(m.sin, [0, 1]))",
    "sortedcontainers": (
        "from sortedcontainers import SortedDict, SortedList\n"
        "print(SortedList('sandbox'), SortedDict({'b': 1, 'a': 2}))"
    ),
    "sets": "print({'apple', 'pear', 'plum'}, frozenset('abcdef'), hash('x'))",
    "random": "import random; print(random.random(), random.sample(range(99), 9))",
}


def run(box: Sandbox, *sources: str) -> list[str]:
    jobs = [Program(source, source, limits=ROOMY) for source in sources]
    executions = list(box.run(jobs))
    assert [(e.stderr, e.verdict) for e in executions] == [("", Verdict.ACCEPTED)] * len(jobs)
    return [e.stdout for e in executions]


def test_programs_print_the_same_bytes_in_every_sandbox() -> None:
    printed = set()
    fingerprints = set()
    for backend, workers in (("namespaces:unshare", 1), ("namespaces:bwrap", 2)):
        with open_default(backend, workers=workers) as box:
            printed.add(tuple(run(box, *HEAVY.values())))
            printed.add(tuple(run(box, *HEAVY.values())))
            assert box.environment is not None
            fingerprints.add(box.environment.fingerprint)
    assert len(printed) == 1
    assert len(fingerprints) == 1


def test_the_surroundings_do_not_come_from_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looks = (
        "import locale, time, os; print(locale.setlocale(locale.LC_ALL, ''), time.tzname)",
        "import time; print(time.localtime(0))",
        "import os; print(os.cpu_count(), os.sched_getaffinity(0), os.getcwd())",
        "import multiprocessing as m; print(m.cpu_count())",
        "import shutil; print(shutil.get_terminal_size())",
        "import getpass, os, socket; print(getpass.getuser(), os.environ, socket.gethostname())",
        "import sys; print(sys.argv, sys.path, sys.flags, sys.stdout.encoding)",
        "import resource; print(resource.getrlimit(resource.RLIMIT_CORE), open(0).read())",
        "import os, tempfile; print(os.umask(0), tempfile.gettempdir())",
        "import signal as s; print([s.getsignal(n) for n in s.valid_signals()])",
        "import signal as s; print(s.pthread_sigmask(s.SIG_BLOCK, ()))",
    )
    with open_default() as box:
        before = run(box, *looks)
    for name, value in (
        ("TZ", "Asia/Tokyo"), ("LC_ALL", "de_DE.UTF-8"), ("LANG", "de_DE.UTF-8"),
        ("PYTHONHASHSEED", "77"), ("OMP_NUM_THREADS", "8"), ("COLUMNS", "33"), ("USER", "me"),
        ("PYTHONPATH", str(tmp_path)), ("PYTHONSTARTUP", "x"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    time.tzset()
    monkeypatch.chdir(tmp_path)
    umask = os.umask(0o027)
    ignored = {s: signal.signal(s, signal.SIG_IGN) for s in (signal.SIGHUP, signal.SIGCHLD)}
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        with open_default(workers=2) as box:
            assert run(box, *looks) == before
    finally:
        os.umask(umask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        for number, handler in ignored.items():
            signal.signal(number, handler)
        monkeypatch.undo()
        time.tzset()
    assert "('UTC', 'UTC')" in before[0] and before[2] == "1 {0} /tmp\n" and before[3] == "1\n"


@pytest.mark.parametrize("preload", [(), ("numpy",)])
def test_linear_algebra_runs_in_one_thread(preload: tuple[str, ...]) -> None:
    source = (
        "import numpy as np, os\n"
        "a = np.ones((400, 400)); (a @ a).sum(); np.linalg.svd(a)\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    with open_default(preload=preload) as box:
        assert run(box, source) == ["1\n"]


def test_nothing_but_the_default_packages_can_be_imported(auto_box: Sandbox) -> None:
    source = (
        "import importlib, json, os, sys\n"
        "missing = []\n"
        "for name in ('duckdb', 'pyarrow', 'pydantic', 'torch', 'pytest', 'pip', 'sandbox'):\n"
        "    try:\n        importlib.import_module(name)\n"
        "    except ModuleNotFoundError:\n        missing.append(name)\n"
        "folder = '/opt/packages'\n"
        "print(len(missing), sorted(os.listdir(folder + '/image')), os.listdir(folder))"
    )
    (printed,) = run(auto_box, source)
    number, names = printed.split(" ", 1)
    assert number == "7"
    assert "'numpy', 'numpy-" in names and "'numpy.libs'" in names and "['image']" in names
    tops = {
        name.split("-")[0].split(".")[0] for name in names.split("]")[0].strip("['").split("', '")
    }
    assert tops == set(default_packages())


def test_default_packages_cannot_be_changed(auto_box: Sandbox) -> None:
    source = (
        "import numpy\n"
        "for path in (numpy.__file__, '/opt/packages/image/new.py', '/opt/packages/image'):\n"
        "    try:\n        open(path, 'w')\n"
        "    except OSError as error:\n        print(error.errno)"
    )
    (printed,) = run(auto_box, source)
    assert len(printed.split()) == 3


def test_a_package_that_is_missing_is_said_to_be(auto_box: Sandbox) -> None:
    missing, known = auto_box.run(
        [Program("pandas", "import pandas as pd"), Program("numpy", "import numpy.nothing")]
    )
    assert (missing.verdict, missing.flags) == (
        Verdict.RUNTIME_ERROR,
        ("missing_dependency:pandas",),
    )
    assert known.flags == ("missing_dependency:numpy.nothing",)


def test_a_package_folder_of_the_callers_own_wins(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "sortedcontainers.py").write_text("VALUE = 41")
    with open_default() as plain:
        pass
    with open_default(packages=[own]) as box:
        assert run(box, "import sortedcontainers as s; print(s.VALUE + 1)") == ["42\n"]
        first = box.environment
    (own / "sortedcontainers.py").write_text("VALUE = 42")
    with open_default(packages=[own]) as box:
        second = box.environment
    assert first and second and plain.environment
    fingerprints = {e.fingerprint for e in (plain.environment, first, second)}
    assert len(fingerprints) == 3
    with pytest.raises(SandboxUsageError, match="is not a folder"):
        open_sandbox("namespaces", packages=[own / "sortedcontainers.py"])


def test_a_preloaded_module_is_there_and_its_generator_seeded() -> None:
    loaded = "import sys; print('numpy' in sys.modules)"
    draw = "import numpy; print(numpy.random.rand(), numpy.random.randint(1 << 30))"
    printed: dict[int, str] = {}
    for seed in (0, 0, 5):
        with open_default(preload=["numpy"], seed=seed) as box:
            there, first, second = run(box, loaded, draw, draw)
        assert there == "True\n" and first == second
        assert printed.setdefault(seed, first) == first
    assert printed[0] != printed[5]


def test_a_module_that_cannot_be_preloaded_is_named() -> None:
    with pytest.raises(SandboxUnavailableError, match="No module named 'nothing_of_this_name'"):
        open_sandbox("namespaces", preload=["nothing_of_this_name"])
    with pytest.raises(SandboxUsageError, match="'import os' is not the name of a module"):
        open_sandbox("namespaces", preload=["import os"])


def test_the_seed_decides_hashes_and_draws() -> None:
    source = "import random; print({'a', 'b', 'c', 'd'}, hash('x'), random.random())"
    printed = []
    for seed in (0, 1, 2**32 - 1, 1):
        with open_default(seed=seed) as box:
            printed += run(box, source)
            environment = box.environment
            assert environment and environment.seed == seed
            assert environment.variables["PYTHONHASHSEED"] == str(seed)
    assert printed[1] == printed[3] and len(set(printed)) == 3


@pytest.mark.parametrize("seed", [-1, 2**32, True, 1.0, "1"])
def test_a_seed_that_is_none_is_refused(seed: int) -> None:
    with pytest.raises(SandboxUsageError, match=r"seed=.*expected an integer from 0 to 4294967295"):
        open_sandbox("namespaces", seed=seed)


def test_a_sandbox_describes_its_environment_as_plain_json(auto_box: Sandbox) -> None:
    described = auto_box.describe()["environment"]
    assert isinstance(described, dict) and isinstance(auto_box.environment, Environment)
    assert json.loads(json.dumps(described)).keys() == described.keys()
    assert described["fingerprint"] == auto_box.environment.fingerprint
    assert set(described["packages"]) == set(default_packages())
    assert described["variables"]["TZ"] == "UTC" and described["cpus"] == 1
    assert described["folder"] == "/tmp" and described["python"].startswith("3.")
    assert len(described["fingerprint"]) == 16


def test_small_limits_of_the_caller_do_not_hinder_the_look() -> None:
    small = replace(LIMITS, cpu_s=0.05, wall_s=0.05, stdout_kib=1, source_kib=1, memory_mib=64)
    with open_default(limits=small) as box:
        assert box.environment is not None


def test_a_default_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(SandboxUnavailableError, match="pip install no-such-package"):
        installed_folders(["no-such-package"])


def test_the_fingerprint_does_not_hang_on_where_packages_were_installed(tmp_path: Path) -> None:
    fingerprints = set()
    for number, version in enumerate(("1.0", "1.0", "1.1")):
        folder = tmp_path / str(number)
        about = folder / f"thing-{version}.dist-info"
        about.mkdir(parents=True)
        (folder / "thing.py").write_text("x = 1")
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: thing\nVersion: {version}\n")
        (about / "RECORD").write_text(
            f"../../bin/thing,sha256={number},9\nthing.py,sha256=abc,5\n"
            f"__pycache__/thing.cpython-31{number}.pyc,,\n{about.name}/INSTALLER,sha256={number},4\n"
        )
        # Bound to the same place in the cell, one after the other.
        with open_default(packages=[folder]) as box:
            assert box.environment is not None and box.environment.packages["thing"] == version
            fingerprints.add(box.environment.fingerprint)
    assert len(fingerprints) == 2
