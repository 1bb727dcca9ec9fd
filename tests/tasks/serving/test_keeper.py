"""Engines of a round: started when asked, one per model, ended when another needs the place."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.engines import GenerationRequest
from tasks.errors import EngineError, OptionError, WeightsChangedError
from tasks.serving import EngineKeeper
from tests.tasks.serving.conftest import Engines, change_weights, model_in

REQUEST = GenerationRequest("a", [{"role": "user", "content": "1+1?"}], n=2, temperature=0.7)


def test_an_engine_starts_with_the_first_request_and_serves_all(
    engines: Engines, tiny_llama: Path
) -> None:
    with EngineKeeper("transformers", {}) as keeper:
        for _ in range(2):
            engine = keeper.of(model_in(tiny_llama))
            assert engine.weight_hash == model_in(tiny_llama).weight_hash
        assert list(engine.iterate([REQUEST], skip=["a"])) == []
        assert engines.log == []
        texts = [[made.text for made in group] for group in engine.generate([REQUEST])]
        assert texts == [["1+1? 0", "1+1? 1"]]
        assert keeper.of(model_in(tiny_llama)).generate([REQUEST])
        assert engines.log == ["open llama"]
    assert engines.log == ["open llama", "close llama"]


def test_another_model_ends_the_first_when_it_is_asked(
    engines: Engines, tiny_llama: Path, tiny_smollm3: Path
) -> None:
    with EngineKeeper("transformers", {}) as keeper:
        policy, judge = (keeper.of(model_in(path)) for path in (tiny_llama, tiny_smollm3))
        policy.generate([REQUEST])
        assert engines.log == ["open llama"]
        judge.generate([REQUEST])
        policy.generate([REQUEST])
    assert engines.log == [
        *("open llama", "close llama", "open smollm3"),
        *("close smollm3", "open llama", "close llama"),
    ]


def test_two_models_are_served_together_where_the_settings_allow_it(
    engines: Engines, tiny_llama: Path, tiny_smollm3: Path
) -> None:
    with EngineKeeper("transformers", {}, max_open=2) as keeper:
        for _ in range(2):
            for path in (tiny_llama, tiny_smollm3):
                keeper.of(model_in(path)).generate([REQUEST])
        assert engines.log == ["open llama", "open smollm3"]
    assert sorted(engines.log[2:]) == ["close llama", "close smollm3"]


def test_a_failure_ends_every_process(
    engines: Engines, tiny_llama: Path, tiny_smollm3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object) -> None:
        raise EngineError("does not end")

    with pytest.raises(EngineError), EngineKeeper("transformers", {}, max_open=2) as keeper:
        for path in (tiny_llama, tiny_smollm3):
            keeper.of(model_in(path)).generate([REQUEST])
        monkeypatch.setattr(engines.opened[1], "close", fail.__get__(engines.opened[1]))
        raise KeyboardInterrupt
    assert engines.log[-1] == "close llama"


def test_what_was_closed_is_opened_again_for_the_next_request(
    engines: Engines, tiny_llama: Path
) -> None:
    with EngineKeeper("transformers", {}) as keeper, keeper.of(model_in(tiny_llama)) as engine:
        engine.generate([REQUEST])
        keeper.close()
        engine.generate([REQUEST])
    assert engines.log == ["open llama", "close llama"] * 2


def test_other_weights_than_recorded_are_refused_before_anything_starts(
    engines: Engines, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    model = model_in(folder)
    change_weights(folder)
    with EngineKeeper("transformers", {}) as keeper, pytest.raises(WeightsChangedError):
        keeper.of(model)
    assert engines.log == []


def change_config(folder: Path) -> None:
    (folder / "generation_config.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "error"), [(change_weights, WeightsChangedError), (change_config, EngineError)]
)
def test_a_folder_that_changes_before_the_engine_starts_is_refused(
    engines: Engines,
    tiny_llama: Path,
    tmp_path: Path,
    change: Callable[[Path], None],
    error: type[Exception],
) -> None:
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    with EngineKeeper("transformers", {}) as keeper:
        engine = keeper.of(model_in(folder))
        change(folder)
        with pytest.raises(error):
            engine.generate([REQUEST])
        assert engines.log == ["open model", "close model"]


def test_an_unknown_option_is_refused_before_anything_starts(tiny_llama: Path) -> None:
    with EngineKeeper("transformers", {"warp": 9}) as keeper, pytest.raises(OptionError):
        keeper.of(model_in(tiny_llama))


def test_a_real_engine_generates_and_scores_behind_a_keeper(tiny_llama: Path) -> None:
    with EngineKeeper("transformers", {"num_threads": 1}) as keeper:
        engine = keeper.of(model_in(tiny_llama))
        seen: list[tuple[int, int]] = []
        (group,) = engine.generate([REQUEST], lambda done, total: seen.append((done, total)))
        assert [made.index for made in group] == [0, 1] and seen[-1] == (2, 2)
        (scores,) = engine.score([(REQUEST.messages, group[0].text)])
        assert scores.error is None and engine.opening_s > 0
