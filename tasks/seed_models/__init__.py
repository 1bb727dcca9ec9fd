"""The seed models: small models that ship with Selfloom, so that a loop runs without downloads.

`programs` writes Python programs for word problems, `copy` copies strings of digits, and `skills`
plays every role that a recipe asks for: it answers, judges, criticises, corrects and poses problems
(`tasks.seed_models.skills`). All are weak on purpose; `selfloom bootstrap` trains them again from
scratch. This module only finds the shipped folders; `tasks.seed_models.bootstrap` makes them.
"""

from __future__ import annotations

from pathlib import Path

from tasks.errors import ModelFolderError

# Where each is; `skills` lies beside what it was taught.
SEED_MODELS = {"programs": "programs", "copy": "copy", "skills": "skills/model"}


def seed_model_path(name: str) -> Path:
    """The folder of a shipped seed model.

    Raises:
        ModelFolderError: There is no seed model of that name, or it is not in this installation.
    """
    if name not in SEED_MODELS:
        raise ModelFolderError(f"seed model {name!r}: there are {', '.join(SEED_MODELS)}")
    path = Path(__file__).parent / SEED_MODELS[name]
    if not (path / "config.json").is_file():
        raise ModelFolderError(
            f"seed model {name!r} is missing from {path.parent}; make it with "
            f"`selfloom bootstrap {name}`"
        )
    return path
