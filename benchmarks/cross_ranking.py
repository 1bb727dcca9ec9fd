"""How well programs are ordered without labels: CodeDPO's ranking, and counts of passed tests.

    python -m benchmarks.cross_ranking --problems 60 --samples 8

A seed model writes programs and tests for problems of `functions`, all run against all, and the
hidden tests say which programs are right. Printed is, for every way to order programs,

    AUC      how often a right program is above a wrong one of the same problem; a tie is half
    best     how often the best program is right (the mean over ties), of problems with both kinds
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from sandbox import open_sandbox
from storage import Warehouse
from tasks.ask import RowSource, Sample, ask_shard
from tasks.checks.shard import check_shard
from tasks.crossing import CrossSpec, contested_prompts, cross_shard
from tasks.engines import open_engine
from tasks.environments import Problem, load_environment
from tasks.sampling import SampleKey, SamplingSpec, sample_shard
from tasks.seed_models import seed_model_path

SCORES = """
SELECT s.prompt_id, r.value AS is_right, k.value AS rank, p.value AS passed
FROM samples AS s
JOIN scores AS r ON r.sample_id = s.id AND r."check" = 'reference'
JOIN scores AS k ON k.sample_id = s.id AND k."check" = 'cross_rank'
JOIN scores AS p ON p.sample_id = s.id AND p."check" = 'cross_passed'
WHERE k.value IS NOT NULL
"""


def draw(house: Warehouse, problems: Sequence[Problem], sampling: SamplingSpec, seed: int) -> None:
    """Write the problems, and a seed model's programs and tests for each of them."""
    rows: list[dict[str, object]] = [
        {"id": p.id, "environment": "functions", "messages": p.messages, "reference": p.reference,
         "source": "seed", "parent_ids": [], "split": "train", "difficulty": p.difficulty,
         "metadata": {}}
        for p in problems
    ]  # fmt: skip
    house.write("prompts", rows, part="train", run="bench", round=1)
    key = SampleKey("bench", 1, "train", "program", "seed:skills")
    with open_engine("transformers", seed_model_path("skills"), {}) as engine:
        sample_shard(house, engine, problems, sampling, key, seed=seed, part="sample-0000")
        test = Sample(role="test", template="test", **sampling.model_dump())
        with RowSource(house, "prompts", run="bench", round=1) as source:
            asked = source.rows(0, source.num_rows)
        ask_shard(house, engine, test, asked, key, seed=seed, part="tests-0000")


def judge(house: Warehouse, problems: Sequence[Problem]) -> None:
    """Run the programs against the hidden tests, and against the model's own."""
    references = {problem.id: problem.reference for problem in problems}
    functions = load_environment("functions")
    with open_sandbox("auto", workers=2) as box:
        check_shard(house, functions, box, references, run="bench", round=1, part="sample-0000")
        for table in ("samples", "executions", "scores"):
            house.seal(table, ["sample-0000", "tests-0000"], run="bench", round=1)
        prompts = contested_prompts(
            house, run="bench", round=1, program_role="program", test_role="test"
        )
        spec = CrossSpec(num_timings=0)
        cross_shard(house, box, spec, prompts, run="bench", round=1, part="cross-0000")
    house.seal("scores", ["cross-0000"], run="bench", round=1)


def quality(own: Sequence[Mapping[str, float]], by: str) -> tuple[float, float]:
    """AUC within a problem, and the share of right programs among its best."""
    right = [row[by] for row in own if row["is_right"] >= 1]
    wrong = [row[by] for row in own if row["is_right"] < 1]
    above = fmean((r > w) + (r == w) / 2 for r in right for w in wrong)
    best = [row for row in own if row[by] == max(one[by] for one in own)]
    return above, fmean(row["is_right"] for row in best)


def main() -> None:
    """Draw, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=60, help="problems of difficulty 2 and 3")
    parser.add_argument("--samples", type=int, default=8, help="programs, and tests, of each")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    functions = load_environment("functions")
    problems = functions.problems("train", given.problems, given.seed, [2, 3])
    sampling = SamplingSpec(n=given.samples, temperature=given.temperature, max_new_tokens=96)
    with tempfile.TemporaryDirectory() as folder:
        house = Warehouse.open(Path(folder) / "w")
        draw(house, problems, sampling, given.seed)
        judge(house, problems)
        with house.connect() as connection:
            rows = connection.sql(SCORES).to_arrow_table().to_pylist()
    groups: dict[str, list[Mapping[str, float]]] = {}
    for row in rows:
        groups.setdefault(str(row["prompt_id"]), []).append(row)
    both = [own for own in groups.values() if len({row["is_right"] >= 1 for row in own}) == 2]
    print(
        f"{len(rows)} programs, {fmean(r['is_right'] for r in rows):.1%} right; {len(both)} mixed"
    )
    for by in ("rank", "passed"):
        auc, best = zip(*(quality(own, by) for own in both), strict=True)
        print(f"{by:8}  AUC {fmean(auc):.3f}   best {fmean(best):.1%}")


if __name__ == "__main__":
    main()
