"""How often the gate is wrong: promotions of a model against itself, and real gains that it misses.

A seed model answers held-out problems many times, at two temperatures: at the higher one it is
really worse. Models of every comparison are drawn from these answers, so that problems differ in
difficulty as they really do:

- the same model twice, under another sampling seed: the share of comparisons that promote;
- a run of ten rounds that gain nothing: the share of runs that promote anything;
- a candidate that is 5 points better: of every problem it has the answer of the better temperature
  with the probability that makes the mean gain 5 points.

Beside the measured power stands that of the normal approximation for the paired difference.

Greedy answers of a model and its successor agree on most problems. So the same gain is also made of
a successor that wins what it takes for 5 points and loses a given share of the problems; in the
demo's rounds, which promote in steps of 2 to 24 points, it is 0.5 to 2 percent.

Run: python benchmarks/gate_error.py --num 500 --samples 16
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flows.launch import run_evaluation
from flows.plans import make_config
from storage import Warehouse
from tasks.evaluation import GateSpec, PairedSuite, decide, level_of_test, suite_results
from tasks.evaluation.paired import Outcome

Shares = npt.NDArray[np.float64]  # of right answers, per problem
Counts = npt.NDArray[np.int64]  # right answers, per problem
COLD, HOT = 0.7, 1.2
GAIN = 0.05
ROUNDS = 10
LOST = (0.01, 0.02, 0.04, 0.08)  # share of problems that only the incumbent gets right


def main() -> None:
    """Measures and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="seed:programs")
    parser.add_argument("--num", type=int, default=500, help="held-out problems")
    parser.add_argument("--samples", type=int, default=16, help="answers per problem")
    parser.add_argument("--comparisons", type=int, default=200)
    parser.add_argument("--warehouse", type=Path, help="keeps the answers; empty: a temporary one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = given.warehouse or Path(folder) / "warehouse"
        worse, better = (
            right_shares(place, given.model, given.num, given.samples, t) for t in (HOT, COLD)
        )
    print(
        f"{given.model}, {given.num} held-out word problems, {given.samples} answers each: "
        f"{worse.mean():.3f} right at temperature {HOT}, {better.mean():.3f} at {COLD}\n"
    )
    if better.mean() - worse.mean() < GAIN:
        sys.exit(f"the temperatures differ by less than {GAIN}; no real gain can be made of them")
    share = GAIN / (better.mean() - worse.mean())
    candidate = worse + share * (better - worse)
    print(
        f"{'answers':>8} {'correction':>10} {'itself':>7} {'10 rounds':>9} {'+5 points':>9} theory"
    )
    for num_answers in (1, 4):
        for correction in ("off", "fallback"):
            spec = GateSpec(correction=correction, num_resamples=200)
            rates = measured(spec, better, worse, candidate, num_answers, given.comparisons)
            expected = theory(worse, candidate, num_answers, level_of_round_1(spec))
            cells = " ".join(f"{rate:>9.1%}" for rate in (*rates, expected))
            print(f"{num_answers:>8} {correction:>10} {cells}")
    print("\nsuccessor, greedy answers, +5 points")
    for lost in LOST:
        power = successors(GateSpec(num_resamples=200), given.num, lost, given.comparisons)
        print(f"loses {lost:>4.0%} of the problems: promoted in {power:.1%}")


def right_shares(place: Path, model: str, num: int, samples: int, temperature: float) -> Shares:
    """The share of right answers per problem, from a real evaluation; one that is done is kept."""
    settings = [f"evaluation.num={num}", f"evaluation.num_samples={samples}"]
    config = make_config("lmsi", None, [*settings, f"evaluation.temperature={temperature}"])
    run = run_evaluation(model, config, place)
    with Warehouse.open(place).connect() as con:
        ((model_id,),) = con.execute(
            "SELECT DISTINCT model_id FROM evaluations WHERE run = ?", [run]
        ).fetchall()
        results = suite_results(con, run, model_id)
    return np.array([np.mean(r.correct) for r in results if r.correct])


def measured(
    spec: GateSpec,
    same: Shares,
    worse: Shares,
    candidate: Shares,
    num_answers: int,
    comparisons: int,
) -> tuple[float, float, float]:
    """Shares promoted: of one comparison with itself, of ten-round runs, of real gains."""
    rng = np.random.default_rng(0)

    def draw(shares: Shares) -> Counts:
        return rng.binomial(num_answers, shares)

    def promotes(incumbent: Counts, other: Counts, level: float) -> tuple[bool, bool]:
        return promotion(spec, incumbent, other, num_answers, level)

    level = level_of_round_1(spec)
    itself = [promotes(draw(same), draw(same), level)[0] for _ in range(comparisons)]
    runs = [any_promotion(spec, lambda: draw(same), promotes) for _ in range(comparisons)]
    gains = [promotes(draw(worse), draw(candidate), level)[0] for _ in range(comparisons)]
    return float(np.mean(itself)), float(np.mean(runs)), float(np.mean(gains))


def successors(spec: GateSpec, num: int, lost: float, comparisons: int) -> float:
    """Share of first tests that promote a successor that is 5 points better and loses so much."""
    rng, level = np.random.default_rng(0), level_of_round_1(spec)
    found = []
    for _ in range(comparisons):
        # 0: both are right, 1: only the candidate, 2: only the incumbent.
        kind = rng.choice(3, num, p=[1 - 2 * lost - GAIN, lost + GAIN, lost])
        pair = (kind != 1).astype(np.int64), (kind != 2).astype(np.int64)
        found.append(promotion(spec, *pair, 1, level)[0])
    return float(np.mean(found))


def any_promotion(
    spec: GateSpec,
    draw: Callable[[], Counts],
    promotes: Callable[[Counts, Counts, float], tuple[bool, bool]],
) -> bool:
    """Whether one of ten rounds promotes a candidate that is the model itself again."""
    incumbent, found, is_promoted = draw(), list[bool](), False
    for _ in range(ROUNDS):
        level = spec.alpha
        if spec.correction == "fallback":
            level = level_of_test(spec.alpha, found, spec.planned_rounds)
        candidate = draw()
        promoted, is_significant = promotes(incumbent, candidate, level)
        found.append(is_significant)
        is_promoted |= promoted
        incumbent = candidate if promoted else incumbent
    return is_promoted


def promotion(
    spec: GateSpec, incumbent: Counts, candidate: Counts, num_answers: int, level: float
) -> tuple[bool, bool]:
    """Whether the gate promotes, and whether its test found a gain."""
    pairs = zip(incumbent.tolist(), candidate.tolist(), strict=True)
    outcomes = tuple(Outcome(f"{i:05d}", None, a, b) for i, (a, b) in enumerate(pairs))
    decision = decide([PairedSuite("own", outcomes, 0, num_answers)], spec, level)
    return decision.promote, decision.statistics.is_significant


def level_of_round_1(spec: GateSpec) -> float:
    """The level of a run's first test."""
    if spec.correction == "off":
        return spec.alpha
    return level_of_test(spec.alpha, [], spec.planned_rounds)


def theory(worse: Shares, candidate: Shares, num_answers: int, level: float) -> float:
    """Power of the paired test by the normal approximation; answers are binomial per problem."""
    noise = (worse * (1 - worse) + candidate * (1 - candidate)) / num_answers
    change = candidate - worse
    under_null = np.sqrt(np.sum(noise + change**2))  # what flipping signs sees
    normal = NormalDist()
    limit = normal.inv_cdf(1 - level) * under_null
    return 1 - normal.cdf(float((limit - change.sum()) / np.sqrt(noise.sum())))


if __name__ == "__main__":
    main()
