"""Seed models from other seeds, by a preset that is cut short."""

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.seed_models import bootstrap as made


def test_a_seed_gives_one_model_and_another_seed_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = made.PRESETS["copy"]
    short = preset.training.model_copy(update={"steps": 2, "checkpoint_every_steps": 0})
    monkeypatch.setitem(made.PRESETS, "copy", replace(preset, training=short))
    hashes = [
        made.bootstrap("copy", tmp_path / name, seed=seed).weight_hash
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    ]
    assert hashes[0] == hashes[1] != hashes[2]
