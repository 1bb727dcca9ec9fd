"""A child for `test_forked_child.py`: says what it was given, then does what it is told."""

import json
import os
import resource
import sys

from tasks.child_process import die_with_parent


def resident_bytes() -> int:
    """Memory that this process holds."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def main() -> None:
    die_with_parent(int(sys.argv[-1]))
    given = {
        "arguments": sys.argv[1:-1],
        "variable": os.environ.get("ECHO_VARIABLE"),
        "folder": os.getcwd(),
        "was_imported": "tasks.engines.batching" in sys.modules,
    }
    print(json.dumps(given), flush=True)
    for line in sys.stdin:
        print(f"to stderr: {line.strip()}", file=sys.stderr, flush=True)
        match line.split():
            case ["exit", code]:
                sys.exit(int(code))
            case ["raise"]:
                raise RuntimeError("as it was told")
            case ["free", num_bytes]:
                before = resident_bytes()
                b"x" * int(num_bytes)
                print(resident_bytes() - before, flush=True)
                continue
        print(line.strip().upper(), flush=True)


if __name__ == "__main__":
    main()
