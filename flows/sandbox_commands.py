"""The verbs of `selfloom sandbox`: run one program, say what works here, build the image."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sandbox import Execution, Job, Limits
    from sandbox.doctor import Check

JUDGING, LIMITS = "How it is judged", "Limits"
BackendOption = Annotated[
    str,
    typer.Option(
        help="auto, docker, docker:RUNTIME, namespaces, namespaces:bwrap or namespaces:unshare."
    ),
]

sandbox_app = typer.Typer(
    no_args_is_help=True,
    help="Run programs that nobody has read, and see what keeps them in.",
)


@sandbox_app.command(
    epilog="selfloom sandbox run program.py\n\n"
    "selfloom sandbox run program.py --stdin input.txt --expect output.txt\n\n"
    "selfloom sandbox run solution.py --entry-point add --tests tests.py --json",
)
def run(
    file: Annotated[Path, typer.Argument(help="Python file, or - for standard input.")],
    stdin: Annotated[
        Path | None, typer.Option(help="File that the program reads as its standard input.")
    ] = None,
    expect: Annotated[
        Path | None,
        typer.Option(help="File with the right output.", rich_help_panel=JUDGING),
    ] = None,
    tests: Annotated[
        list[Path] | None,
        typer.Option(
            help="File with test code, run in another cell than the program; repeatable.",
            rich_help_panel=JUDGING,
        ),
    ] = None,
    entry_point: Annotated[
        list[str] | None,
        typer.Option(
            help="Function or class of the program that the tests call; repeatable.",
            rich_help_panel=JUDGING,
        ),
    ] = None,
    support: Annotated[
        Path | None,
        typer.Option(help="File with code that tests may use.", rich_help_panel=JUDGING),
    ] = None,
    backend: BackendOption = "auto",
    cpu_s: Annotated[
        float, typer.Option("--cpu-s", help="CPU seconds.", rich_help_panel=LIMITS)
    ] = 2.0,
    wall_s: Annotated[
        float | None,
        typer.Option(
            "--wall-s",
            help="Seconds by the clock.",
            show_default="three times --cpu-s",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    memory_mib: Annotated[
        int, typer.Option("--memory-mib", help="Memory in MiB.", rich_help_panel=LIMITS)
    ] = 256,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything that is known about the run as JSON.")
    ] = False,
) -> None:
    """Run one program in a fresh cell and print its verdict.

    Its output goes to standard output, the verdict to standard error. The exit status is 0 when it
    was accepted, 1 when it was not, and 3 when the sandbox could not say.
    """
    from sandbox import Limits, open_sandbox

    limits = Limits(cpu_s=cpu_s, wall_s=wall_s or 3 * cpu_s, memory_mib=memory_mib)
    job = _job(file, stdin, expect, tests or [], entry_point or [], support)
    with open_sandbox(backend, workers=1, limits=limits) as box:
        (execution,) = box.run([job])
    if as_json:
        typer.echo(json.dumps(asdict(execution)))
    else:
        _show(execution, limits)
    if not execution.verdict.is_label:
        raise typer.Exit(3)
    raise typer.Exit(0 if execution.verdict == "accepted" else 1)


def _job(
    file: Path,
    stdin: Path | None,
    expect: Path | None,
    tests: list[Path],
    entry_points: list[str],
    support: Path | None,
) -> Job:
    from sandbox import FunctionTests, Program

    source = sys.stdin.read() if str(file) == "-" else _read(file)
    if not tests:
        if entry_points or support:
            raise typer.BadParameter("--entry-point and --support go with --tests FILE")
        return Program(
            id=str(file),
            source=source,
            stdin=_read(stdin) if stdin else "",
            expected_stdout=_read(expect) if expect else None,
        )
    if not entry_points:
        raise typer.BadParameter("--tests needs the functions they call: --entry-point NAME")
    if stdin or expect:
        raise typer.BadParameter("--stdin and --expect judge a whole program, --tests a function")
    return FunctionTests(
        id=str(file),
        source=source,
        entry_points=tuple(entry_points),
        tests=tuple(_read(path) for path in tests),
        support=_read(support) if support else "",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: {error}") from error


def _show(execution: Execution, limits: Limits) -> None:
    typer.echo(execution.stdout, nl=False)
    typer.echo(execution.stderr, nl=False, err=True)
    memory = execution.peak_memory_mib
    facts = [
        f"CPU {execution.cpu_ms:.0f} of {limits.cpu_s * 1000:.0f} ms",
        f"wall {execution.wall_ms:.0f} of {limits.wall_s * 1000:.0f} ms",
    ]
    if memory is not None:
        facts.append(f"memory {memory:.0f} of {limits.memory_mib} MiB")
    facts += [f"{execution.backend} ({execution.isolation})", *execution.flags]
    typer.secho(f"{execution.verdict}  " + ", ".join(facts), err=True, bold=True)
    for number, result in enumerate(execution.results):
        typer.echo(f"  test {number}: {result.verdict} {result.note}".rstrip(), err=True)


@sandbox_app.command(
    epilog="selfloom sandbox doctor\n\nselfloom sandbox doctor --canaries\n\n"
    "selfloom sandbox doctor --json"
)
def doctor(
    canaries: Annotated[
        bool, typer.Option("--canaries", help="Show how every hostile program ended.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what isolates on this machine, prove it with hostile programs, and how to fix the rest.

    The exit status is 0 when programs can be run, else 3.
    """
    from sandbox import diagnose

    found = diagnose()
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        for check in found.checks:
            _show_check(check, canaries)
        used = found.backend or "nothing: `selfloom run` refuses to start"
        typer.echo(f"\n`auto` uses {used}.")
    raise typer.Exit(0 if found.available else 3)


def _show_check(check: Check, canaries: bool) -> None:
    word, color = ("works", "green") if check.ok else ("fails", "red")
    first, *rest = check.detail.splitlines() or [""]
    typer.echo(f"{typer.style(word, fg=color)}  {check.name:<20} {first}")
    rest += [f"limits: {limit}" for limit in check.limits.split("; ") if limit]
    if canaries:
        rest += [f"{'held' if c.holds else 'FAILED'}: {c.name}" for c in check.canaries]
    for line in rest:
        typer.echo(" " * 28 + line)


@sandbox_app.command(
    "build-image",
    epilog="selfloom sandbox build-image\n\n"
    "DOCKER_HOST=tcp://127.0.0.1:2375 selfloom sandbox build-image",
)
def build_image() -> None:
    """Build the image of the docker backend: Python, numpy, sympy and the cell's own code.

    Needs a Docker engine, and either a registry that has Python's image or, as root, debootstrap.
    """
    from sandbox.image import build_image as build

    typer.echo(build(progress=lambda line: typer.echo(line, err=True)))
