"""The engines transformers and vllm on the seed models: greedy texts and what is measured on them.

In float32 the texts must be equal, and log-probabilities, entropy and self-certainty must agree
within 1e-3, of greedy samples (`sampled`) as of given texts, token by token (`scored`).

Run: python benchmarks/engine_agreement.py --prompts 200
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tasks.engines import Completion, Engine, GenerationRequest, TokenScores, open_engine
from tasks.environments import Problem
from tasks.environments.length import CopyTask
from tasks.environments.word_problems import WordProblems
from tasks.seed_models import seed_model_path

TOLERANCE = 1e-3
MEASURES = ("sum_logprob", "mean_logprob", "min_logprob", "mean_entropy", "mean_self_certainty")
OPTIONS = {
    "transformers": {"dtype": "float32"},
    "vllm": {"dtype": "float32"},
}


def problems_of(model: str, num: int) -> Sequence[Problem]:
    """Return problems that the seed model was made for."""
    if model == "programs":
        return WordProblems().problems("train", num, seed=3, difficulties=(1, 2, 3))
    return CopyTask().problems("train", num, seed=3, difficulties=range(1, 15))


def ask(
    engine: Engine, problems: Sequence[Problem], texts: Sequence[str] | None
) -> tuple[list[Completion], list[TokenScores]]:
    """Return greedy completions, and the scores of `texts` or of the completions' own texts."""
    requests = [
        GenerationRequest(problem.id, problem.messages, temperature=0.0, max_new_tokens=64)
        for problem in problems
    ]
    completions = [row[0] for row in engine.generate(requests)]
    answers = texts or [one.text for one in completions]
    pairs = [(p.messages, text) for p, text in zip(problems, answers, strict=True)]
    return completions, engine.score(pairs)


def compare(model: str, num: int) -> bool:
    """Print how far the engines are apart on one model, and return whether they agree."""
    problems = problems_of(model, num)
    found: dict[str, tuple[list[Completion], list[TokenScores]]] = {}
    texts: list[str] | None = None
    for name, options in OPTIONS.items():
        with open_engine(name, seed_model_path(model), options) as engine:
            found[name] = ask(engine, problems, texts)
        texts = [one.text for one in found[name][0]]
    ours, theirs = (found[name] for name in OPTIONS)
    num_equal, sampled, scored = 0, 0.0, 0.0
    for one, other in zip(ours[0], theirs[0], strict=True):
        same = (one.text, one.num_tokens, one.finish_reason) == (
            other.text,
            other.num_tokens,
            other.finish_reason,
        )
        num_equal += same
        if same:
            sampled = max(sampled, *(abs(getattr(one, v) - getattr(other, v)) for v in MEASURES))
        else:
            print(f"  {one}\n  {other}")
    for before, after in zip(ours[1], theirs[1], strict=True):
        for values in ("logprobs", "entropies", "self_certainties"):
            pairs = zip(getattr(before, values), getattr(after, values), strict=True)
            scored = max(scored, *(abs(x - y) for x, y in pairs))
    print(
        f"{model}: {num_equal} of {len(problems)} greedy completions equal; largest difference "
        f"of what is measured: {sampled:.1e} sampled, {scored:.1e} scored"
    )
    return num_equal == len(problems) and max(sampled, scored) <= TOLERANCE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--models", nargs="+", default=["programs", "copy"])
    arguments = parser.parse_args()
    agree = [compare(model, arguments.prompts) for model in arguments.models]
    sys.exit(0 if all(agree) else "the engines do not agree")


if __name__ == "__main__":
    main()
