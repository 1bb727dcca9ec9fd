"""How well a model plays every role on held-out word problems: readable, right, new.

Judges are asked about right and wrong programs, half and half. Every role is sampled once per
problem at the temperature given; "truth" is what the programs compute.

Run: python benchmarks/seed_skills.py --model seed:skills --num 200
"""

import argparse
import ast
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from storage import Warehouse
from tasks.ask import Template
from tasks.ask.parsers import ChoiceParser, ListParser, Parser, ScoreParser, VerdictParser, read
from tasks.engines import Engine, GenerationRequest, open_engine
from tasks.environments.functions import ENTRY_POINT, Functions
from tasks.environments.word_problem_reader import read_equation
from tasks.environments.word_problems import Equation, WordProblems, program_for
from tasks.models import resolve_model
from tasks.seed_models.skills.judging import P_TRUE, judgement
from tasks.seed_models.skills.material import Exercise, attempt

Row = dict[str, object]
_LINE = re.compile(r"x = (?:x (\+|-|\*|//) )?(\d+)")
_TEST = re.compile(rf"assert {ENTRY_POINT}\((\[.*\])\) == (.*)")
NAMES = {"+": "add", "-": "subtract", "*": "multiply", "//": "divide"}


@dataclass(frozen=True)
class Case:
    """A held-out problem with an attempt at it.

    Attributes:
        known: The problem.
        tried: What the attempt computes.
        other: What a second attempt computes.
    """

    known: Exercise
    tried: Equation
    other: Equation

    @property
    def known_value(self) -> int:
        """The right answer."""
        return self.known.equation.value()

    @property
    def is_right(self) -> bool:
        """Whether the attempt is right."""
        return self.tried.value() == self.known_value

    def row(self) -> Row:
        """The columns that templates read."""
        rng = random.Random(self.known.problem)
        return {
            "messages": self.known.messages,
            "problem": self.known.problem,
            "answer": program_for(self.tried),
            "answer_a": program_for(self.tried),
            "answer_b": program_for(self.other),
            "reference": self.known.reference,
            "critique": "",
            "feedback": f"wrong_answer: it printed {self.tried.value()}",
            "output": str(self.tried.value()),
            "judgement_a": judgement(self.known, self.tried, rng),
            "judgement_b": judgement(self.known, self.tried, rng),
            "principles": ["Be right.", "Be concise: write nothing that is not needed."],
        }


def cases_of(num: int, split: str) -> list[Case]:
    """Return problems with attempts, half of them right."""
    rng = random.Random(99)
    found = []
    for problem in WordProblems().problems(split, num, seed=77):
        equation = read_equation(problem.messages[0]["content"])
        assert equation is not None
        known = Exercise(equation, problem.messages[0]["content"])
        found.append(Case(known, attempt(known, rng), attempt(known, rng)))
    return found


def value_of(program: str) -> int | None:
    """Return what a program of the seed model's form prints; None for any other text."""
    *lines, last = program.strip().splitlines() or [""]
    matches = [_LINE.fullmatch(line) for line in lines]
    if last != "print(x)" or not lines or None in matches:
        return None
    steps = [(match[1], int(match[2])) for match in matches if match is not None]
    if steps[0][0] is not None or any(sign is None or n == 0 for sign, n in steps[1:]):
        return None
    rest = tuple((NAMES[str(sign)], n) for sign, n in steps[1:])
    return Equation(steps[0][1], rest).value()  # type: ignore[arg-type]


class Roles:
    """Asks one model, and prints a line per role."""

    def __init__(self, engine: Engine, cases: Sequence[Case], temperature: float) -> None:
        """Keep what is asked."""
        self.engine, self.cases, self.temperature = engine, cases, temperature

    def ask(self, template: Template, rows: Sequence[Row], temperature: float) -> list[str]:
        """Return one completion per row."""
        requests = [
            GenerationRequest(
                str(number),
                template.render(row),
                seed=number,
                temperature=temperature,
                top_p=0.9,
                max_new_tokens=120,
            )
            for number, row in enumerate(rows)
        ]
        return [found[0].text for found in self.engine.generate(requests)]

    def say(self, role: str, **numbers: float) -> None:
        """Print numbers of a role."""
        print(f"{role:20}" + "".join(f"  {name} {value:.3f}" for name, value in numbers.items()))

    def answers(self) -> None:
        """Programs: greedy and sampled, plain, with a hint, under principles."""
        rows = [case.row() for case in self.cases]
        wanted = [case.known.equation.value() for case in self.cases]
        for role, temperature in (
            ("as_is", 0.0),
            ("as_is", self.temperature),
            ("rationalize", self.temperature),
            ("with_principles", self.temperature),
        ):
            found = map(value_of, self.ask(Template.load(role), rows, temperature))
            values = list(found)
            self.say(
                f"{role} T={temperature}",
                readable=mean(value is not None for value in values),
                right=mean(a == b for a, b in zip(values, wanted, strict=True)),
            )

    def verdicts(self) -> None:
        """Yes or no: how often it is the truth, for right and for wrong programs."""
        readers: dict[str, tuple[Template, Parser]] = {
            name: (Template.load(name), VerdictParser())
            for name in ("critique", "critique_with_hint", "verify", "verify_output")
        }
        p_true = ChoiceParser(options=("(A)", "(B)"), marker="answer")
        for role, (template, parser) in {**readers, "p_true": (P_TRUE, p_true)}.items():
            texts = self.ask(template, [case.row() for case in self.cases], self.temperature)
            yes = {"yes", "(A)"}
            labels = [self._label(parser, text) for text in texts]
            said = [None if label is None else label in yes for label in labels]
            self.say(
                role,
                readable=mean(one is not None for one in said),
                accuracy=mean(a == c.is_right for a, c in zip(said, self.cases, strict=True)),
                yes_if_right=self._among(said, True),
                yes_if_wrong=self._among(said, False),
            )

    def _label(self, parser: Parser, text: str) -> str | None:
        if isinstance(parser, ChoiceParser):  # P(True): the choice is the whole text
            return text.strip() if text.strip() in parser.options else None
        return read(parser, text).label

    def _among(self, said: Sequence[bool | None], is_right: bool) -> float:
        pairs = zip(said, self.cases, strict=True)
        return mean(one is True for one, case in pairs if case.is_right == is_right)

    def scores(self) -> None:
        """Rubric scores: spread, and how often a right program scores above a wrong one."""
        rows = [case.row() for case in self.cases]
        plain = [{k: v for k, v in row.items() if k != "principles"} for row in rows]
        for name, asked in (("judge_additive", plain), ("  with principles", rows)):
            template = Template.load("judge_additive")
            found = [
                read(ScoreParser(), t).value for t in self.ask(template, asked, self.temperature)
            ]
            pairs = list(zip(found, self.cases, strict=True))
            right = [value for value, case in pairs if value is not None and case.is_right]
            wrong = [value for value, case in pairs if value is not None and not case.is_right]
            above = mean((a > b) + (a == b) / 2 for a in right for b in wrong)
            self.say(
                name,
                readable=mean(value is not None for value in found),
                mean_right=mean(right),
                mean_wrong=mean(wrong),
                auc=above,
                distinct=len({*right, *wrong}),
            )

    def choices(self) -> None:
        """Pairs of programs, and pairs of judgements."""
        decided = [c for c in self.cases if c.is_right != (c.other.value() == c.known_value)]
        rows = [case.row() for case in decided]
        swapped = [
            {**row, "answer_a": row["answer_b"], "answer_b": row["answer_a"]} for row in rows
        ]
        labels = [
            [
                read(ChoiceParser(), text).label
                for text in self.ask(Template.load("judge_pair"), asked, self.temperature)
            ]
            for asked in (rows, swapped)
        ]
        wanted = ["A" if case.is_right else "B" for case in decided]
        mirrored = {"A": "B", "B": "A", "tie": "tie", None: None}
        self.say(
            "judge_pair",
            readable=mean(label is not None for label in labels[0]),
            accuracy=mean(a == b for a, b in zip(labels[0], wanted, strict=True)),
            same_if_swapped=mean(mirrored[a] == b for a, b in zip(*labels, strict=True)),
        )
        self._meta()

    def _meta(self) -> None:
        parser, found = ChoiceParser(options=("A", "B")), []
        rows = [case.row() for case in self.cases]
        texts = self.ask(Template.load("judge_meta"), rows, self.temperature)
        for case, row, text in zip(self.cases, rows, texts, strict=True):
            a, b = (int(str(row[f"judgement_{side}"]).rpartition(" ")[2]) for side in "ab")
            if a != b:
                found.append((read(parser, text).label, "A" if (a > b) == case.is_right else "B"))
        self.say(
            "judge_meta",
            readable=mean(said is not None for said, _ in found),
            accuracy=mean(said == wanted for said, wanted in found),
        )

    def corrections(self) -> None:
        """Programs after a critique, without one, after feedback: repaired, kept."""
        rows = [case.row() for case in self.cases]
        critiques = self.ask(Template.load("critique"), rows, self.temperature)
        for row, text in zip(rows, critiques, strict=True):
            row["critique"] = text
        for role in ("refine", "retry", "feedback_repair"):
            texts = self.ask(Template.load(role), rows, self.temperature)
            right = [
                value_of(text) == case.known_value
                for text, case in zip(texts, self.cases, strict=True)
            ]
            pairs = list(zip(right, self.cases, strict=True))
            self.say(
                role,
                readable=mean(value_of(text) is not None for text in texts),
                repaired=mean(ok for ok, case in pairs if not case.is_right),
                kept_right=mean(ok for ok, case in pairs if case.is_right),
            )

    def problems(self) -> None:
        """Posed problems: valid, new, with the equation that was wanted."""
        cases = self.cases
        examples = [[other.known.problem for other in cases[i : i + 3]] for i in range(len(cases))]
        rows: list[Row] = [
            {**case.row(), "answer": case.known.program, "examples": shown}
            for case, shown in zip(cases, examples, strict=True)
        ]
        wanted: dict[str, Callable[[Equation, Equation], bool]] = {
            "question": lambda new, old: new != old,
            "rephrase": lambda new, old: new == old,
            "easier": lambda new, old: new.steps == old.steps[:-1] and new.start == old.start,
            "back_translate": lambda new, old: new == old,
        }
        for role, is_wanted in wanted.items():
            texts = self.ask(Template.load(role), rows, self.temperature)
            read_back = [read_equation(text) for text in texts]
            pairs = zip(read_back, cases, strict=True)
            self.say(
                role,
                valid=mean(one is not None for one in read_back),
                as_wanted=mean(
                    one is not None and is_wanted(one, c.known.equation) for one, c in pairs
                ),
                distinct=len(set(texts)) / len(texts),
            )
        plans = self.ask(Template.load("plan"), rows, self.temperature)
        self.say("plan", readable=mean(read(ListParser(), p).failure is None for p in plans))

    def functions(self, num: int) -> None:
        """Functions and tests of the environment `functions`."""
        labelled = Functions().labelled("heldout", num, 5)
        rows = [{"messages": p.messages, "problem": p.messages[0]["content"]} for p, _ in labelled]
        texts = self.ask(Template.load("as_is"), rows, 0.0)
        same = [
            text.strip() == solution.strip()
            for text, (_, solution) in zip(texts, labelled, strict=True)
        ]
        self.say("function T=0.0", same_as_solution=mean(same))
        found = []
        for text, (_, solution) in zip(
            self.ask(Template.load("test"), rows, self.temperature), labelled, strict=True
        ):
            scope: dict[str, Callable[[list[int]], object]] = {}
            exec(solution, scope)  # the environment's own source
            for line in text.splitlines():
                found.append(_is_right_test(line, scope[ENTRY_POINT]))
        self.say(
            "test",
            readable=mean(one is not None for one in found),
            right=mean(one is True for one in found),
            per_sample=len(found) / len(labelled),
        )


def _is_right_test(line: str, function: Callable[[list[int]], object]) -> bool | None:
    match = _TEST.fullmatch(line)
    try:
        assert match is not None
        return function(ast.literal_eval(match[1])) == ast.literal_eval(match[2])
    except (AssertionError, ValueError, SyntaxError, TypeError):
        return None


def mean(values: object) -> float:
    """Return the mean of some numbers; 0 of none."""
    found = [float(value) for value in values]  # type: ignore[attr-defined]
    return sum(found) / len(found) if found else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="seed:skills")
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--split", default="heldout")
    parser.add_argument("--temperature", type=float, default=0.7)
    arguments = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        model = resolve_model(Warehouse.open(Path(folder)), arguments.model)
        with open_engine("transformers", model.path) as engine:
            cases = cases_of(arguments.num, arguments.split)
            roles = Roles(engine, cases, arguments.temperature)
            roles.answers()
            roles.verdicts()
            roles.scores()
            roles.choices()
            roles.corrections()
            roles.problems()
            roles.functions(arguments.num)
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
