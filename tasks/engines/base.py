"""What an engine is: requests in, completions with log-probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict

from tasks.errors import OptionError

Messages = list[dict[str, str]]
FinishReason = Literal["stop", "length", "error"]
# Called with (finished samples, all samples) of the running call.
OnProgress = Callable[[int, int], None]


def begun_answer(messages: Messages) -> str:
    """What the messages already have of the answer; empty where it is to begin.

    Example:
        >>> begun_answer([{"role": "user", "content": "2?"}])
        ''
        >>> begun_answer([{"role": "user", "content": "2?"}, {"role": "assistant", "content": "="}])
        '='
    """
    return messages[-1]["content"] if messages and messages[-1]["role"] == "assistant" else ""


class EngineOptions(BaseModel):
    """The options of an engine, with what is known of their influence on completions.

    Attributes:
        SPEED_ONLY: Options that change how fast completions come and what they may cost, but not
            what they say. All others tell completions apart: see `tasks.engines.fingerprint`.
        PACKAGES: Packages whose versions tell completions apart; those installed count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    SPEED_ONLY: ClassVar[frozenset[str]] = frozenset()
    PACKAGES: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class Structure:
    """What a completion has to look like; exactly one of the three is given.

    Attributes:
        json_schema: A JSON schema, as JSON text.
        regex: A regular expression that the whole completion matches.
        choices: The texts that it is one of.

    Raises:
        OptionError: If none or more than one is given.
    """

    json_schema: str | None = None
    regex: str | None = None
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a structure that says nothing or two things."""
        given = (self.json_schema is not None, self.regex is not None, self.choices != ())
        if sum(given) != 1:
            raise OptionError(
                f"structure: {sum(given)} of json_schema, regex and choices given; expected one"
            )


@dataclass(frozen=True)
class GenerationRequest:
    """`n` samples asked for one prompt.

    Attributes:
        id: Names the request in its completions; usually the prompt's id.
        messages: Chat messages, the last one from the user, or the beginning of the answer.
        n: Number of samples, at least 1.
        seed: Sample `i` is drawn with `seed + i`; give requests seeds at least `n` apart.
        temperature: 0 is greedy, 1 the model's own distribution.
        top_p: Keeps the smallest set of tokens with at least this probability, in (0, 1].
        top_k: Keeps the k most likely tokens; 0 keeps all.
        max_new_tokens: Tokens after which a sample is cut off, at least 1.
        stop: Texts that end a sample; they are not part of it.
        structure: What the completions have to look like; None for anything.

    Raises:
        OptionError: If a value is outside its range.
    """

    id: str
    messages: Messages
    n: int = 1
    seed: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 128
    stop: tuple[str, ...] = ()
    structure: Structure | None = None

    def __post_init__(self) -> None:
        """Refuse values that no engine could serve, before any work begins."""
        limits = (
            ("messages", len(self.messages), self.messages != [], "at least one message"),
            ("n", self.n, self.n >= 1, "n >= 1"),
            ("temperature", self.temperature, self.temperature >= 0, "temperature >= 0"),
            ("top_p", self.top_p, 0 < self.top_p <= 1, "0 < top_p <= 1"),
            ("top_k", self.top_k, self.top_k >= 0, "top_k >= 0; 0 keeps all tokens"),
            ("max_new_tokens", self.max_new_tokens, self.max_new_tokens >= 1, "at least 1"),
            ("stop", self.stop, all(self.stop), "no empty text"),
        )
        for name, value, is_valid, expected in limits:
            if not is_valid:
                raise OptionError(f"request {self.id!r}: {name}={value}; expected {expected}")


@dataclass(frozen=True)
class Completion:
    """One sample of one request.

    Log-probabilities are natural and of the unchanged model distribution (temperature 1, no
    top-k, no top-p), whatever distribution the sample was drawn from. They cover all
    `num_tokens` generated tokens, the end-of-sequence token included. A measure that an engine
    cannot give is None.

    Attributes:
        request_id: The id of the request.
        index: 0 to n - 1 within the request.
        seed: The seed that this sample was drawn with: the request's seed + index.
        text: Decoded tokens without special tokens.
        num_tokens: Number of generated tokens, with the end-of-sequence token.
        finish_reason: `stop` if the model or a stop text ended the sample, `length` if it was cut
            off, `error` if there is none.
        sum_logprob: Sum of the tokens' log-probabilities.
        mean_logprob: Their mean.
        min_logprob: Their minimum.
        mean_entropy: Mean entropy in nats of the distributions the tokens were drawn from,
            before temperature.
        mean_self_certainty: Mean over tokens of KL(uniform || distribution), in nats, before
            temperature. Source: Kang et al., "Scalable Best-of-N Selection for Large Language
            Models via Self-Certainty" (2502.18581), section 3.
        num_prompt_tokens: Tokens of the prompt.
        reused_from: Id of the earlier sample that it is a copy of; None where it was drawn now.
        error: Why there is no sample, as "kind: what happened", e.g. "context_overflow: …"; None
            for a sample. An error is a state, never an empty answer.
    """

    request_id: str
    index: int
    seed: int
    text: str
    num_tokens: int
    finish_reason: FinishReason
    sum_logprob: float | None = None
    mean_logprob: float | None = None
    min_logprob: float | None = None
    mean_entropy: float | None = None
    mean_self_certainty: float | None = None
    num_prompt_tokens: int | None = None
    reused_from: str | None = None
    error: str | None = None


def failed(request: GenerationRequest, error: str) -> list[Completion]:
    """The completions of a request that an engine could not serve: n errors.

    Args:
        request: What was asked.
        error: Why, as "kind: what happened".
    """
    return [
        Completion(request.id, index, request.seed + index, "", 0, "error", error=error)
        for index in range(request.n)
    ]


@dataclass(frozen=True)
class TokenScores:
    """What a model says of a given completion, token by token.

    Attributes:
        logprobs: `list[num_tokens]`: log-probability of each token of the encoded text, then of
            the end-of-sequence token; in nats, at temperature 1.
        entropies: `list[num_tokens]`: entropy in nats of the distribution at each token; None
            where the engine does not see whole distributions.
        self_certainties: `list[num_tokens]`: KL(uniform || distribution) in nats at each token;
            None where the engine does not see whole distributions.
        error: Why there are no scores, as "kind: what happened"; None for scores.
    """

    logprobs: list[float]
    entropies: list[float] | None = None
    self_certainties: list[float] | None = None
    error: str | None = None


class Engine(Protocol):
    """A served model. Use as a context manager: leaving it frees the model's memory.

    Attributes:
        name: Its key in `tasks.engines.ENGINES`.
        model_path: The model's folder.
        weight_hash: Hash of the weights that it serves.
        fingerprint: Hash of all that a completion follows from beside the request; see
            `tasks.engines.fingerprint`.
    """

    name: str
    model_path: str
    weight_hash: str
    fingerprint: str

    def generate(
        self, requests: Sequence[GenerationRequest], on_progress: OnProgress | None = None
    ) -> list[list[Completion]]:
        """Completions of every request: `list[len(requests)]` of `list[n]`, in input order."""
        ...

    def iterate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        skip: Collection[str] = (),
    ) -> Iterator[tuple[GenerationRequest, list[Completion]]]:
        """Requests with their completions as they finish, in an order of the engine's choice.

        Requests whose id is in `skip` are done already: nothing is generated for them, and the
        others come out as if they had been asked together with them.
        """
        ...

    def score(
        self, pairs: Sequence[tuple[Messages, str]], on_progress: OnProgress | None = None
    ) -> list[TokenScores]:
        """What the model says of each (messages, completion text), in input order."""
        ...

    def close(self) -> None:
        """End the engine; calling it again does nothing."""
        ...

    def __enter__(self) -> Self:
        """The engine itself, ready to serve."""
        ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the engine."""
        ...
