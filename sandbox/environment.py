"""What programs find around them: chosen by the caller, the same in every cell, and recorded.

Two sandboxes with the same fingerprint give a deterministic program the same output.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.backends.process_one import CODE_PATH, PACKAGE_PATH
from sandbox.errors import SandboxUnavailableError, SandboxUsageError
from sandbox.limits import Limits
from sandbox.programs import Execution, Job, Program, Verdict

REQUIREMENTS = Path(__file__).parent / "image" / "requirements.txt"
"""The one list of packages that every program may import; the image installs exactly these."""

MAX_SEED = 2**32 - 1

_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a caller chooses of the environment of programs.

    Attributes:
        packages: Folders with packages of the caller's own; they win over the default ones.
        seed: Of string hashes, and of the global generators of `random` and a preloaded numpy.
        preload: Modules that are imported once per cell instead of once per program.

    Raises:
        SandboxUsageError: A folder, seed or name that cannot be used.
    """

    packages: tuple[Path, ...] = ()
    seed: int = 0
    preload: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for path in self.packages:
            if not path.is_dir():
                raise SandboxUsageError(
                    f"packages: {path} is not a folder; give folders that hold importable "
                    "packages, for example the site-packages of a virtual environment"
                )
        if type(self.seed) is not int or not 0 <= self.seed <= MAX_SEED:
            raise SandboxUsageError(f"seed={self.seed!r}; expected an integer from 0 to {MAX_SEED}")
        for name in self.preload:
            if not isinstance(name, str) or not _MODULE.fullmatch(name):
                raise SandboxUsageError(
                    f"preload: {name!r} is not the name of a module; give names such as 'numpy'"
                )


def default_packages() -> list[str]:
    """Return the names of the packages that every program may import.

    Example:
        >>> default_packages()
        ['mpmath', 'numpy', 'sortedcontainers', 'sympy']
    """
    return _REQUIREMENT.findall(REQUIREMENTS.read_text(encoding="utf-8"))


def installed_folders(names: Iterable[str]) -> tuple[Path, ...]:
    """Return the folders of installed packages and of what is known about them.

    Nothing else of the environment that they are installed in has to be visible to programs.

    Args:
        names: Names of distributions, as pip knows them.

    Returns:
        Top-level folders, for numpy `numpy`, `numpy.libs` and `numpy-2.4.6.dist-info`.

    Raises:
        SandboxUnavailableError: One is not installed, or not by pip.
    """
    folders: set[Path] = set()
    for name in names:
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise SandboxUnavailableError(
                f"programs may import {name}, which is not installed; run: pip install {name}"
            ) from None
        if not found.files:
            raise SandboxUnavailableError(
                f"nothing says which files belong to {name} in {found.locate_file('')}; "
                f"run: pip install --force-reinstall {name}"
            )
        tops = {file.parts[0] for file in found.files if len(file.parts) > 1}
        paths = (Path(str(found.locate_file(top))) for top in tops - {"..", "__pycache__"})
        folders |= {path.resolve() for path in paths if path.is_dir()}
    return tuple(sorted(folders))


@dataclass(frozen=True, slots=True)
class Environment:
    """What was found in a cell; equal ones give the same program the same output.

    Attributes:
        seed: Of hashes and random numbers.
        preload: Modules imported beforehand, beside the usual ones.
        image_digest: Of the container image, None where there is none.
        python: Version and build of the interpreter.
        system: Machine and C library.
        vector_units: Of the processor; numpy chooses its code by them, and so the last digits.
        flags: Of the interpreter.
        packages: Versions by name.
        package_files: Digest of what is recorded of their files, and of modules without a record.
        variables: Environment variables.
        cell_code: Digest of the code that runs programs.
        cpus: Number of processors that programs see.
        folder: Working directory.
        encoding: Of files, standard output and the locale.
    """

    seed: int
    preload: tuple[str, ...]
    image_digest: str | None
    python: str
    system: str
    vector_units: list[str]
    flags: str
    packages: dict[str, str]
    package_files: str
    variables: dict[str, str]
    cell_code: str
    cpus: int
    folder: str
    encoding: str

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ when anything differs."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def describe(self) -> dict[str, object]:
        """Return everything as plain JSON values, the fingerprint first."""
        return {"fingerprint": self.fingerprint, **dataclasses.asdict(self)}


_PROBE = f"""
    import hashlib, importlib.metadata, json, locale, os, platform, sys

    def content(path):
        with open(path, "rb") as file:
            data = file.read()
        if not path.endswith("/RECORD"):
            return data
        # Scripts name the environment that they are installed in; the rest says how it was done.
        varying = (b"../", b"bin/"), (b"__pycache__/", b".dist-info/")
        lines = [line for line in data.splitlines() if not line.startswith(varying[0])]
        lines = [line for line in lines if not any(part in line for part in varying[1])]
        return b"\\n".join(sorted(lines))

    def digest(paths):
        total = hashlib.sha256()
        for path in sorted(paths):
            total.update(path.encode("utf-8", "surrogateescape") + b"\\0" + content(path))
        return total.hexdigest()[:16]

    def vector_units():
        with open("/proc/cpuinfo") as file:
            lines = [line.split(":")[1] for line in file if line.startswith(("flags", "Features"))]
        kinds = ("avx", "fma", "sse4", "asimd", "sve")
        return sorted({{word for word in " ".join(lines[:1]).split() if word.startswith(kinds)}})

    def below(folder):
        for parent, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name != "__pycache__"]
            yield from (os.path.join(parent, name) for name in names)

    package_folders = [path for path in sys.path if path.startswith({PACKAGE_PATH!r})]
    packages, files = {{}}, []
    for folder in package_folders:
        recorded = {{"__pycache__"}}
        for found in importlib.metadata.distributions(path=[folder]):
            packages.setdefault(found.name, found.version)
            files.append(str(found.locate_file("")) + "/" + found._path.name + "/RECORD")
            recorded |= {{file.parts[0] for file in found.files or ()}}
            recorded.add(found._path.name)
        for name in set(os.listdir(folder)) - recorded:
            path = os.path.join(folder, name)
            files += below(path) if os.path.isdir(path) else [path]
    print(json.dumps({{
        "python": sys.version,
        "system": " ".join((platform.machine(), *platform.libc_ver())),
        "vector_units": vector_units(),
        "flags": str(sys.flags),
        "packages": packages,
        "package_files": digest(path for path in files if os.path.isfile(path)),
        "variables": dict(os.environ),
        "cell_code": digest(p for p in below({CODE_PATH!r}) if p.endswith(".py")),
        "cpus": os.cpu_count(),
        "folder": os.getcwd(),
        "encoding": " ".join(
            (sys.getfilesystemencoding(), sys.stdout.encoding, locale.getencoding())
        ),
    }}))
"""


def measure_environment(
    run: Callable[[Iterable[Job]], Iterator[Execution]], limits: Limits, surroundings: Surroundings
) -> Environment:
    """Return what programs find in a sandbox, by looking from inside of it.

    Args:
        run: `Sandbox.run` of it.
        limits: Its limits; the look itself gets more time and room for output.
        surroundings: What it was opened with.

    Raises:
        SandboxUnavailableError: The look failed; quotes it.
    """
    roomy = dataclasses.replace(limits, wall_s=60.0, cpu_s=30.0, stdout_kib=1024, source_kib=64)
    source = textwrap.dedent(_PROBE).strip()
    (execution,) = run([Program(id="environment", source=source, limits=roomy)])
    if execution.verdict is not Verdict.ACCEPTED:
        raise SandboxUnavailableError(
            f"the sandbox cannot say what it contains: verdict {execution.verdict}, "
            f"flags {execution.flags}, stderr {execution.stderr[-500:]!r}"
        )
    return Environment(
        seed=surroundings.seed,
        preload=surroundings.preload,
        image_digest=execution.image_digest,
        **json.loads(execution.stdout),
    )
