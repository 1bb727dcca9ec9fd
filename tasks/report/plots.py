"""Plots over rounds as SVG that takes its colors from the page, so that it fits light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.typing import RcKeyType

from tasks.report.rounds import Estimate, RoundFacts

# Stand-ins that matplotlib accepts as colors; the finished SVG has the page's variables in their
# place.
_INK, _FAINT, _CARD = "#010203", "#010204", "#010205"
SERIES = tuple(f"#0102{i:02x}" for i in range(16, 24))
_COLORS = {_INK: "var(--ink-2)", _FAINT: "var(--line)", _CARD: "var(--card)"} | {
    color: f"var(--series-{i})" for i, color in enumerate(SERIES, 1)
}

_LIGHT = {"--ink-2": "#444444", "--line": "#dddddd", "--card": "#ffffff"}
_LIGHT_SERIES = (
    "#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f",
)  # fmt: skip

_STYLE: dict[RcKeyType, object] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "selfloom",
    "font.size": 11,
    "text.color": _INK,
    "text.parse_math": False,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": _FAINT,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "ytick.left": False,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
}


class Plot(NamedTuple):
    """One plot: its heading, a sentence for those who cannot see it, and the SVG element."""

    title: str
    description: str
    svg: str


def plots_of_run(rounds: Sequence[RoundFacts], prefix: str = "plot") -> list[Plot]:
    """Returns the plots of one run; a plot without any measured value is left out.

    Args:
        rounds: Rounds of one run, sorted, at least one.
        prefix: Start of every id in the SVGs; another one for each run on a page.
    """
    drawn = [
        draw_plot(
            f"{prefix}-1",
            "Held-out accuracy",
            "Greedy accuracy by round with 95% intervals; hollow markers were not promoted.",
            lambda axes: _accuracy(axes, rounds),
        ),
        draw_plot(
            f"{prefix}-2",
            "Accuracy by difficulty",
            "Greedy accuracy by round, one line for each difficulty, with 95% intervals.",
            lambda axes: _difficulties(axes, rounds),
        ),
        draw_plot(
            f"{prefix}-3",
            "Self-made labels",
            "Accuracy and coverage of the selected labels and agreement of the votes, by round.",
            lambda axes: _labels(axes, rounds),
        ),
        draw_plot(
            f"{prefix}-6",
            "Exploration",
            "How different a prompt's samples are: pass@k, disputed prompts, distinct word pairs, "
            "by round.",
            lambda axes: _exploration(axes, rounds),
        ),
        draw_plot(
            f"{prefix}-7",
            "Labels and rewards on held-out problems",
            "Accuracy of majority labels and of their rewards, and the gap of labels over samples, "
            "of every round's new model.",
            lambda axes: _heldout_labels(axes, rounds),
        ),
        draw_plot(
            f"{prefix}-4",
            "Rows",
            "Number of samples, training rows and rejected rows, by round.",
            lambda axes: _rows(axes, rounds),
        ),
        draw_plot(
            f"{prefix}-5",
            "Seconds by stage",
            "Seconds of every stage, by round.",
            lambda axes: _time(axes, rounds),
        ),
    ]
    return [plot for plot in drawn if plot is not None]


def standalone_svg(plot: Plot) -> str:
    """Returns a plot as a picture of its own, in light colors, for where the page's are missing.

    Args:
        plot: A plot of `plots_of_run`.
    """
    colors = {**_LIGHT, **{f"--series-{i}": color for i, color in enumerate(_LIGHT_SERIES, 1)}}
    style = ";".join(f"{name}:{value}" for name, value in colors.items())
    return plot.svg.replace("<svg", f'<svg style="background:#fff;{style}"', 1)


def draw_plot(
    prefix: str, title: str, description: str, draw: Callable[[Axes], bool]
) -> Plot | None:
    """Returns a plot in the page's style, None where nothing was drawn.

    Args:
        prefix: Start of every id in the SVG; no two plots of a page share one.
        title: Its heading.
        description: A sentence for those who cannot see it.
        draw: Draws it; says whether there was anything.
    """
    with matplotlib.rc_context(_STYLE):
        # Not pyplot: a report may be rendered in any thread, and pyplot keeps global figures.
        figure = Figure(figsize=(5.2, 3.1), layout="constrained")
        figure.patch.set_alpha(0.0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0.0)
        if not draw(axes):
            return None
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if axes.get_legend_handles_labels()[0]:
            # Below the axes: no line can hide behind it, however many series there are.
            figure.legend(loc="outside lower center", ncols=4, handlelength=1.4, columnspacing=1.2)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return Plot(title, description, _inline(buffer.getvalue(), prefix))


def _inline(text: str, prefix: str) -> str:
    """Returns the SVG element alone, in the page's colors, with ids that no other plot has."""
    svg = text[text.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for stand_in, variable in _COLORS.items():
        svg = svg.replace(stand_in, variable)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{prefix}-", svg)
    return svg.strip()


def share_axis(axes: Axes) -> None:
    """Makes the y axis one of shares, and the x axis one of rounds."""
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes.set_xlabel("round")


def _points(
    rounds: Sequence[RoundFacts], suite: str, level: int | None
) -> tuple[list[tuple[int, Estimate]], set[int]]:
    """Returns (round, estimate), the start model first, and the numbers of promoted rounds."""
    points: list[tuple[int, Estimate]] = []
    # Round 0 trains nothing: it measures the base, which is its own parent.
    start = rounds[0].parent_accuracy.get((suite, level))
    if start is not None and rounds[0].parent != rounds[0].child:
        points.append((rounds[0].round - 1, start))
    for facts in rounds:
        estimate = facts.accuracy.get((suite, level))
        if estimate is not None:
            points.append((facts.round, estimate))
    promoted = {facts.round for facts in rounds if facts.verdict == "promoted"}
    return points, promoted | {rounds[0].round - 1}


def accuracy_line(
    axes: Axes, rounds: Sequence[RoundFacts], key: tuple[str, int | None], color: str, label: str
) -> bool:
    """Draws one suite's (or difficulty's) accuracy with intervals; says whether there was any."""
    points, promoted = _points(rounds, *key)
    if not points:
        return False
    xs = [x for x, _ in points]
    ys = [e.value for _, e in points]
    below = [max(0.0, e.value - (e.value if e.low is None else e.low)) for _, e in points]
    above = [max(0.0, (e.value if e.high is None else e.high) - e.value) for _, e in points]
    axes.errorbar(xs, ys, [below, above], color=color, lw=1.8, elinewidth=1, capsize=2, label=label)
    axes.scatter(
        xs,
        ys,
        s=34,
        linewidths=1.6,
        zorder=3,
        edgecolors=color,
        facecolors=[color if x in promoted else _CARD for x in xs],
    )
    return True


def _accuracy(axes: Axes, rounds: Sequence[RoundFacts]) -> bool:
    suites = sorted({suite for facts in rounds for suite in facts.suites})
    drawn = [
        accuracy_line(axes, rounds, (suite, None), SERIES[i % len(SERIES)], suite)
        for i, suite in enumerate(suites)
    ]
    share_axis(axes)
    return any(drawn)


def _difficulties(axes: Axes, rounds: Sequence[RoundFacts]) -> bool:
    keys = sorted(
        {
            (suite, level)
            for facts in rounds
            for suite, level in facts.accuracy.keys() | facts.parent_accuracy.keys()
            if level is not None
        }
    )
    several = len({suite for suite, _ in keys}) > 1
    drawn = [
        accuracy_line(
            axes,
            rounds,
            (suite, level),
            SERIES[i % len(SERIES)],
            f"{suite} {level}" if several else f"difficulty {level}",
        )
        for i, (suite, level) in enumerate(keys)
    ]
    share_axis(axes)
    return any(drawn)


def _labels(axes: Axes, rounds: Sequence[RoundFacts]) -> bool:
    return _shares(
        axes,
        rounds,
        {
            "labels right": [f.metrics.selected_accuracy for f in rounds],
            "prompts used": [f.metrics.selected_coverage for f in rounds],
            "vote share": [f.metrics.mean_majority_share for f in rounds],
            "unanimous": [f.metrics.unanimous_coverage for f in rounds],
        },
    )


def _exploration(axes: Axes, rounds: Sequence[RoundFacts]) -> bool:
    largest = str(max((int(k) for f in rounds for k in f.metrics.pass_at_k), default=1))
    return _shares(
        axes,
        rounds,
        {
            f"pass@{largest}": [f.metrics.pass_at_k.get(largest) for f in rounds],
            "disputed prompts": [f.metrics.disputed_share for f in rounds],
            "distinct-2": [f.metrics.distinct_2 for f in rounds],
        },
    )


def _heldout_labels(axes: Axes, rounds: Sequence[RoundFacts]) -> bool:
    names = {
        "labels right": "label_accuracy",
        "rewards right": "reward_accuracy",
        "gap": "generation_verification_gap",
    }
    after = [f.metrics.heldout.get("after", {}) for f in rounds]
    return _shares(axes, rounds, {k: [own.get(v) for own in after] for k, v in names.items()})


def _shares(
    axes: Axes, rounds: Sequence[RoundFacts], series: Mapping[str, Sequence[float | None]]
) -> bool:
    drawn = False
    for i, (name, values) in enumerate(series.items()):
        known = [(f.round, v) for f, v in zip(rounds, values, strict=True) if v is not None]
        if known:
            xs, ys = zip(*known, strict=True)
            axes.plot(xs, ys, color=SERIES[i], lw=1.8, marker="o", ms=4, label=name)
            drawn = True
    share_axis(axes)
    return drawn


def _rows(axes: Axes, rounds: Sequence[RoundFacts]) -> bool:
    series = {
        "samples": [f.metrics.num_samples for f in rounds],
        "training rows": [f.metrics.num_selected for f in rounds],
        "rejected rows": [f.num_rejections for f in rounds],
    }
    for i, (name, values) in enumerate(series.items()):
        places = [f.round + (i - 1) * 0.27 for f in rounds]
        axes.bar(places, values, width=0.24, color=SERIES[i], label=name)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("round")
    return any(map(any, series.values()))


def _time(axes: Axes, rounds: Sequence[RoundFacts]) -> bool:
    stages = list(dict.fromkeys(stage for facts in rounds for stage in facts.seconds))
    bottom = [0.0] * len(rounds)
    for i, stage in enumerate(stages):
        values = [facts.seconds.get(stage, 0.0) for facts in rounds]
        color = SERIES[i % len(SERIES)]
        axes.bar(
            [f.round for f in rounds], values, width=0.6, bottom=bottom, color=color, label=stage
        )
        bottom = [b + v for b, v in zip(bottom, values, strict=True)]
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f} s"))
    axes.set_xlabel("round")
    return any(bottom)
