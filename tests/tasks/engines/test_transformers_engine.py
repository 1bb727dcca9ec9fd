import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tasks.engines import GenerationRequest, Structure, open_engine, weight_hash
from tasks.engines.transformers_engine import TransformersEngine, TransformersOptions
from tasks.errors import EngineError, ModelFolderError, OptionError, UnknownNameError

PROJECT = Path(__file__).parents[3]
ONE_THREAD = TransformersOptions(num_threads=1)


def make_requests(num: int = 9, n: int = 3, **fields: Any) -> list[GenerationRequest]:
    return [
        GenerationRequest(
            f"p{i}",
            [{"role": "user", "content": "x" * (i % 4 + 1)}],
            n=n,
            seed=1000 * i,
            **{"max_new_tokens": 8, "temperature": 0.9, **fields},
        )
        for i in range(num)
    ]


@pytest.fixture(scope="module")
def engine(tiny_llama):
    with open_engine("transformers", tiny_llama, {"num_threads": 1, "rows_per_batch": 7}) as engine:
        yield engine


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_completions_come_in_the_order_of_the_requests(engine, tiny_llama):
    requests, progress = make_requests(), []
    completions = engine.generate(requests, lambda done, total: progress.append((done, total)))
    assert engine.weight_hash == weight_hash(tiny_llama)
    for request, row in zip(requests, completions, strict=True):
        assert [c.request_id for c in row] == [request.id] * 3
        assert [c.index for c in row] == [0, 1, 2]
        assert [c.seed for c in row] == [request.seed + i for i in range(3)]
        for c in row:
            assert 1 <= c.num_tokens <= 8
            assert c.finish_reason == "stop" or c.num_tokens == 8
            assert c.sum_logprob == pytest.approx(c.mean_logprob * c.num_tokens)
            assert c.min_logprob <= c.mean_logprob <= 0 < c.mean_entropy
            assert c.mean_self_certainty > 0 and c.num_prompt_tokens > 0
            assert "<end>" not in c.text
    assert progress == sorted(progress)
    assert progress[-1] == (27, 27)


def test_a_sample_depends_on_its_seed_alone(engine):
    requests = make_requests()
    completions = engine.generate(requests)
    assert len({c.text for row in completions for c in row}) > 20
    request = requests[4]
    for i in range(3):
        alone = GenerationRequest(
            "alone", request.messages, n=1, seed=request.seed + i, temperature=0.9, max_new_tokens=8
        )
        assert engine.generate([alone])[0][0].text == completions[4][i].text


def test_iterate_hands_over_the_same_and_may_be_left_early(engine):
    requests = make_requests()
    expected = {r.id: c for r, c in zip(requests, engine.generate(requests), strict=True)}
    found = dict((request.id, row) for request, row in engine.iterate(requests))
    assert found == expected
    stream = engine.iterate(requests)
    next(stream)
    stream.close()
    # The same calls give the same bits; another batch may change the last ones.
    assert dict((r.id, row) for r, row in engine.iterate(requests)) == expected


def test_requests_to_skip_cost_nothing_and_change_no_bit_of_the_others(engine):
    requests = make_requests(num=21, n=1)
    expected = {request.id: row for request, row in engine.iterate(requests)}
    progress = []
    skip = list(expected)[:7]  # the first batch, as it would have been planned with them
    stream = engine.iterate(requests, lambda done, total: progress.append((done, total)), skip)
    found = {request.id: row for request, row in stream}
    assert found == {id: row for id, row in expected.items() if id not in skip}
    assert progress[0] == (14, 21)
    assert list(engine.iterate(requests, None, list(expected))) == []


def test_scores_cover_the_completion_and_its_end(engine):
    prompt = [{"role": "user", "content": "2+2?"}]
    short, long = engine.score([(prompt, ""), (prompt, "four")])
    assert (len(short.logprobs), len(long.logprobs)) == (1, 5)
    assert all(value <= 0 for value in short.logprobs + long.logprobs)
    for scores in (short, long):
        assert len(scores.entropies) == len(scores.self_certainties) == len(scores.logprobs)
        assert min(scores.entropies) > 0 and min(scores.self_certainties) > 0
    assert engine.score([]) == []
    assert engine.generate([]) == []


def test_a_request_that_the_model_cannot_serve_is_an_error_of_its_own(engine):
    long, structured, fine = make_requests(num=3)
    long = replace(long, max_new_tokens=255)
    structured = replace(structured, structure=Structure(choices=("a", "b")))
    progress = []
    found = engine.generate([long, structured, fine], lambda *numbers: progress.append(numbers))
    assert [c.error.partition(":")[0] for c in found[0]] == ["context_overflow"] * 3
    assert [c.error.partition(":")[0] for c in found[1]] == ["unsupported"] * 3
    assert [(c.index, c.finish_reason, c.text) for c in found[0]] == [
        (i, "error", "") for i in range(3)
    ]
    assert all(c.error is None and c.num_tokens > 0 for c in found[2])
    assert progress[-1] == (9, 9)
    unread, read = engine.score([(long.messages, "x" * 300), (fine.messages, "x")])
    assert unread.error.startswith("context_overflow") and unread.logprobs == []
    assert read.error is None


def test_stop_texts_end_a_sample_and_are_not_part_of_it(engine):
    requests = make_requests(n=8, max_new_tokens=24)
    free = engine.generate(requests)
    letter = max("abcdefgh", key=lambda c: sum(c in one.text for row in free for one in row))
    stopped = engine.generate([replace(request, stop=(letter, "zzz")) for request in requests])
    num_cut = 0
    for before, after in zip(chain(*free), chain(*stopped), strict=True):
        assert after.text == before.text.partition(letter)[0]
        if letter in before.text:
            num_cut += 1
            assert after.finish_reason == "stop" and after.num_tokens <= before.num_tokens
    assert num_cut > 0


def test_a_folder_that_does_not_load_shows_the_end_of_the_traceback(tiny_llama, tmp_path):
    folder = shutil.copytree(tiny_llama, tmp_path / "broken")
    (folder / "config.json").write_text('{"model_type": "no-such-family"}')
    with pytest.raises(EngineError, match="no-such-family") as caught:
        open_engine("transformers", folder)
    assert "Traceback" in str(caught.value)


def test_a_killed_worker_is_started_again_and_goes_on(tiny_llama):
    requests = make_requests()
    options = TransformersOptions(num_threads=1, rows_per_batch=6)
    with TransformersEngine(tiny_llama, options) as engine:
        expected = {request.id: row for request, row in engine.iterate(requests)}
        found = {}
        for request, row in engine.iterate(requests):
            assert request.id not in found
            found[request.id] = row
            if len(found) in (1, 5):
                os.kill(engine.pid, signal.SIGKILL)
        assert found == expected
        assert engine.num_restarts == 2


@pytest.mark.slow
def test_a_worker_that_dies_again_and_again_is_an_error(tiny_llama, monkeypatch):
    with TransformersEngine(tiny_llama, ONE_THREAD) as engine:
        start = engine._start

        def start_and_die():
            weights = start()
            os.kill(engine.pid, signal.SIGKILL)
            return weights

        monkeypatch.setattr(engine, "_start", start_and_die)
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match="exit code -9"):
            engine.generate(make_requests())
        assert engine.num_restarts == 2


def test_no_worker_outlives_a_killed_parent(tiny_llama):
    script = (
        "import sys, time\nfrom tasks.engines import open_engine\n"
        "engine = open_engine('transformers', sys.argv[1], {'num_threads': 1})\n"
        "print(engine.pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tiny_llama)], stdout=subprocess.PIPE, cwd=PROJECT
    )
    assert parent.stdout is not None
    with parent:
        worker = int(parent.stdout.readline())
        assert is_alive(worker)
        parent.kill()
    while is_alive(worker):
        time.sleep(0.05)  # pytest's own timeout ends a worker that stays


@pytest.mark.slow
def test_closing_ends_the_worker_and_a_closed_engine_says_so(tiny_llama):
    with TransformersEngine(tiny_llama, ONE_THREAD) as engine:
        engine.close()
        assert not is_alive(engine.pid)
    with pytest.raises(EngineError, match="closed"):
        engine.generate(make_requests(num=1))


def test_what_can_be_refused_is_refused_before_a_process_starts(tiny_llama, tmp_path):
    with pytest.raises(UnknownNameError, match="there are transformers"):
        open_engine("magic", tiny_llama)
    with pytest.raises(OptionError, match="num_threads"):
        open_engine("transformers", tiny_llama, {"num_threads": 0})
    with pytest.raises(OptionError, match="no_such_option"):
        open_engine("transformers", tiny_llama, {"no_such_option": 1})
    with pytest.raises(ModelFolderError, match="does not exist"):
        open_engine("transformers", tmp_path / "nowhere")


@pytest.mark.parametrize(
    "fields",
    [{"n": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_k": -1}, {"max_new_tokens": 0}],
)
def test_a_request_out_of_range_is_refused(fields):
    with pytest.raises(OptionError, match=next(iter(fields))):
        make_requests(num=1, **fields)
