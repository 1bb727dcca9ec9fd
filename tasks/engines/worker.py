"""The loop of every process that holds a model: JSON lines in, JSON lines out.

Run by `WorkerEngine` as `python -m <module> MODEL_PATH OPTIONS PARENT`; not for people.
Operations (one line each on stdin): `generate` with requests, `score` with pairs, `stop` to end
the running operation early. Events (one line each on stdout): `ready`, `completions`, `scores`,
`done`, `error`.
"""

from __future__ import annotations

import json
import os
import select
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Protocol

from tasks.child_process import die_with_parent
from tasks.engines.base import GenerationRequest, Messages, Structure
from tasks.engines.model_folder import weight_hash


class WorkerModel(Protocol):
    """A loaded model: each method yields events with the keys event, items, done and total."""

    def generate(
        self, requests: Sequence[GenerationRequest], skip: frozenset[int]
    ) -> Iterator[dict[str, Any]]:
        """Events `completions`: (position, completions as dictionaries) of finished requests."""
        ...

    def score(self, pairs: Sequence[tuple[Messages, str]]) -> Iterator[dict[str, Any]]:
        """Events `scores`: (position, fields of `TokenScores`) of some pairs each."""
        ...


def _base_weights(path: str, options: Mapping[str, Any]) -> str:
    """The weights of an engine that serves the folder as it is."""
    return weight_hash(path)


def run_worker(
    load: Callable[[str, Mapping[str, Any]], WorkerModel],
    identify: Callable[[str, Mapping[str, Any]], str] = _base_weights,
) -> None:
    """Load the model named on the command line and serve it until stdin ends.

    Args:
        load: Called with the model's folder and the engine's options.
        identify: Called with the same; the hash of the weights that are served.
    """
    die_with_parent(int(sys.argv[3]))
    # Libraries print to stdout; the protocol keeps the real one for itself.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = os.fdopen(os.dup(0), "rb")
    try:
        path, options = sys.argv[1], json.loads(sys.argv[2])
        model = load(path, options)
        _send(output, {"event": "ready", "weight_hash": identify(path, options)})
        for line in source:
            _serve(model, json.loads(line), source, output)
    except BrokenPipeError:
        pass
    except Exception as error:
        traceback.print_exc()
        summary = f"{type(error).__name__}: {error}"
        _send(output, {"event": "error", "message": summary})
        sys.exit(1)


def _serve(
    model: WorkerModel, operation: dict[str, Any], source: IO[bytes], output: IO[bytes]
) -> None:
    """Answer one operation; a `stop` that came too late is ignored."""
    if operation["op"] == "stop":
        return
    events: Iterator[dict[str, Any]]
    if operation["op"] == "generate":
        requests = [_request(fields) for fields in operation["requests"]]
        events = model.generate(requests, frozenset(operation["skip"]))
    else:
        events = model.score(operation["pairs"])
    for event in events:
        _send(output, event)
        # The client sends nothing during an operation but `stop`, so nothing is buffered here.
        if select.select([source], [], [], 0)[0]:
            break
    _send(output, {"event": "done"})


def _request(fields: dict[str, Any]) -> GenerationRequest:
    """A request as it was before it became JSON, which knows no tuples."""
    structure = fields["structure"]
    if structure is not None:
        structure = Structure(**{**structure, "choices": tuple(structure["choices"])})
    return GenerationRequest(**{**fields, "stop": tuple(fields["stop"]), "structure": structure})


def _send(output: IO[bytes], event: dict[str, Any]) -> None:
    """Write one event as one line."""
    output.write(json.dumps(event).encode() + b"\n")
    output.flush()
