"""Losses against a run's first model that no single gate sees."""

from tasks.evaluation.metrics import ProblemResult
from tasks.monitors import MonitorSpec
from tasks.monitors.heldout_signatures import hidden_regression, spent_diversity

SPEC = MonitorSpec()


def model(greedy: int, solved: int, num: int = 100, level: int = 1) -> list[ProblemResult]:
    """The first `greedy` problems right greedily, in the first `solved` one of four samples."""
    return [
        ProblemResult(
            f"{level}-{i}",
            level,
            i < greedy,
            ("1", "2", "3", "4"),
            (i < solved, False, False, False),
        )
        for i in range(num)
    ]


def test_fewer_solved_problems_under_better_greedy_answers() -> None:
    first = model(greedy=50, solved=90)
    finding = spent_diversity(first, model(greedy=60, solved=75), SPEC)
    assert finding is not None and (finding.name, finding.severity) == ("spent_diversity", "warn")
    assert round(finding.value, 6) == 0.15
    assert "pass@4 fell from 0.900 with the run's first model to 0.750" in finding.message


def test_a_healthy_candidate_spends_nothing() -> None:
    first = model(greedy=50, solved=90)
    assert spent_diversity(first, model(greedy=60, solved=88), SPEC) is None  # small
    assert spent_diversity(first, model(greedy=50, solved=60), SPEC) is None  # the gate's business
    assert spent_diversity(first, first, SPEC) is None
    few = (model(greedy=1, solved=4, num=5), model(greedy=2, solved=3, num=5))
    assert spent_diversity(*few, SPEC) is None  # by chance
    undrawn = [ProblemResult("1-0", 1, True)]
    assert spent_diversity([ProblemResult("1-0", 1, False)], undrawn, SPEC) is None


def test_a_loss_under_a_rising_mean() -> None:
    groups = {
        "suite math": (model(40, 40), model(25, 40)),
        "suite small": (model(2, 10, num=20, level=2), model(16, 20, num=20, level=2)),
    }
    finding = hidden_regression(groups, SPEC)
    assert finding is not None and finding.name == "hidden_regression"
    assert "suite math lost 0.150 of its problems" in finding.message
    assert "all 2 groups rose" in finding.message


def test_no_regression_where_all_rise_or_chance_explains_it() -> None:
    small = (model(2, 10, num=20, level=2), model(16, 20, num=20, level=2))
    assert hidden_regression({"math": (model(40, 40), model(39, 40)), "small": small}, SPEC) is None
    assert hidden_regression({"math": (model(40, 40), model(45, 40)), "small": small}, SPEC) is None
    # The mean falls too: the headline says it.
    assert (
        hidden_regression({"a": (model(40, 40), model(20, 40)), "b": (small[1], small[0])}, SPEC)
        is None
    )
    assert hidden_regression({"one": (model(40, 40), model(10, 40))}, SPEC) is None
