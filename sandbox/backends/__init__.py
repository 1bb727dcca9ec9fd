"""Ways to build a cell. `namespaces` is the embedded default on Linux."""
