"""Texts that end a sample."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from tasks.engines.sampler import Row


class StopTexts:
    """Says of a batch's rows whether their text holds one of their prompt's stop texts."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, stops: Sequence[tuple[str, ...]]
    ) -> None:
        """Take the stop texts of every row."""
        self._tokenizer = tokenizer
        self._stops = stops

    @classmethod
    def of(
        cls,
        tokenizer: PreTrainedTokenizerBase,
        stops: Sequence[tuple[str, ...]],
        rows: Sequence[Row],
    ) -> StopTexts | None:
        """For `stops` of the batch's prompts and the rows that name them; None without stops."""
        return cls(tokenizer, [stops[row.prompt] for row in rows]) if any(stops) else None

    def __call__(self, row: int, tokens: list[int]) -> bool:
        """Whether the row at this position ends with the last of its tokens."""
        stops = self._stops[row]
        if not stops:
            return False
        # Every token of a stop text has at least a byte of it; a character has at most four.
        # The last token may hold more than the end of it, so it stays in full.
        width = 4 * max(map(len, stops)) + 4
        text = str(self._tokenizer.decode(tokens[-width:], skip_special_tokens=True))
        return any(stop in text for stop in stops)


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stop texts in it."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text
