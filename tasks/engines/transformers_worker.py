"""The process that holds a model for the `transformers` engine: JSON lines in, JSON lines out.

Run by `TransformersEngine` as `python -m tasks.engines.transformers_worker`; not for people.
Operations (one line each on stdin): `generate` with requests, `score` with pairs, `stop` to end
the running operation early. Events (one line each on stdout): `ready`, `completions`, `scores`,
`progress`, `done`, `error`.
"""

from __future__ import annotations

import json
import os
import select
import sys
import traceback
from collections.abc import Iterator
from typing import IO, Any

from tasks.child_process import die_with_parent
from tasks.engines.base import GenerationRequest
from tasks.engines.model_folder import weight_hash
from tasks.engines.served_model import ServedModel


def main() -> None:
    """Load the model named on the command line and serve it until stdin ends."""
    die_with_parent(int(sys.argv[3]))
    options = json.loads(sys.argv[2])
    # Libraries print to stdout; the protocol keeps the real one for itself.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = os.fdopen(os.dup(0), "rb")
    try:
        model = ServedModel.load(sys.argv[1], options)
        _send(output, {"event": "ready", "weight_hash": weight_hash(sys.argv[1])})
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
    model: ServedModel, operation: dict[str, Any], source: IO[bytes], output: IO[bytes]
) -> None:
    """Answer one operation; a `stop` that came too late is ignored."""
    if operation["op"] == "stop":
        return
    events: Iterator[dict[str, Any]]
    if operation["op"] == "generate":
        requests = [GenerationRequest(**fields) for fields in operation["requests"]]
        events = model.generate(requests, frozenset(operation["skip"]))
    else:
        events = model.score(operation["pairs"])
    for event in events:
        _send(output, event)
        # The client sends nothing during an operation but `stop`, so nothing is buffered here.
        if select.select([source], [], [], 0)[0]:
            break
    _send(output, {"event": "done"})


def _send(output: IO[bytes], event: dict[str, Any]) -> None:
    """Write one event as one line."""
    output.write(json.dumps(event).encode() + b"\n")
    output.flush()


if __name__ == "__main__":
    main()
