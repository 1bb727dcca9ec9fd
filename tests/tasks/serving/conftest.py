"""Engines without a model behind them, opened as real ones are, for real model folders."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from storage import Warehouse
from tasks.engines import ENGINES, Engine, GenerationRequest, engine_fingerprint, weight_hash
from tasks.models import ModelRef
from tasks.serving import EarlierSamples, EngineKeeper
from tests.tasks.ask.scripted import Script, ScriptedEngine


def say_all(question: str, seed: int) -> str | None:
    """Another text for every question and seed."""
    return f"{question} {seed % 99991}"


@dataclass
class Engines:
    """What happened to the engines that were opened instead of real ones.

    Attributes:
        script: What they answer.
        fail_after: Requests after which a new one fails; None for never.
        log: "open FOLDER" and "close FOLDER", in order.
        opened: The engines.
    """

    script: Script = say_all
    fail_after: int | None = None
    log: list[str] = field(default_factory=list)
    opened: list["LoggedEngine"] = field(default_factory=list)

    def asked(self) -> list[GenerationRequest]:
        """All requests that an engine answered, and forget them."""
        found = [request for engine in self.opened for request in engine.asked]
        for engine in self.opened:
            engine.asked = []
        return found


class LoggedEngine(ScriptedEngine):
    """A scripted engine that says when it is opened and closed."""

    def __init__(self, engines: Engines, path: Path, options: object) -> None:
        super().__init__(engines.script)
        self.fail_after = engines.fail_after
        self._log = engines.log
        self.name, self.model_path, self.weight_hash = "transformers", str(path), weight_hash(path)
        self.fingerprint = engine_fingerprint(self.name, path, self.weight_hash, options)  # type: ignore[arg-type]
        self._log.append(f"open {path.name}")
        engines.opened.append(self)

    def close(self) -> None:
        self._log.append(f"close {Path(self.model_path).name}")


def in_place_of_transformers(patch: pytest.MonkeyPatch) -> Engines:
    """Scripted engines that are opened where the transformers engine would be."""
    found = Engines()

    def open_logged(path: str | Path, options: object) -> Engine:
        return LoggedEngine(found, Path(path), options)

    patch.setitem(ENGINES, "transformers", open_logged)
    return found


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Engines:
    """Scripted engines in place of the transformers engine."""
    return in_place_of_transformers(monkeypatch)


def model_in(folder: Path) -> ModelRef:
    return ModelRef("model", folder, weight_hash(folder))


def change_weights(folder: Path) -> None:
    """Change a number in the last tensor."""
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)


def keeper_for(
    house: Warehouse, run: str, number: int = 1, *, reuse: bool = True, **options: object
) -> EngineKeeper:
    earlier = EarlierSamples(house, run=run, round=number) if reuse else None
    return EngineKeeper("transformers", options, earlier=earlier)
