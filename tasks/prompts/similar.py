"""ROUGE-L: how much two texts have in common, word by word and in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import Indel

_WORD = re.compile(r"\w+")
_FIRST, _SURROGATES = 0x100, range(0xD800, 0xE000)
_TOLERANCE = 1e-9  # 14 of 20 words are not more than 0.7


class Similar(NamedTuple):
    """A text that says nearly what an earlier one says.

    Attributes:
        id: The text.
        of: The earlier one: that which is most similar, the first of several.
        similarity: ROUGE-L of the two, 0 to 1.
    """

    id: str
    of: str
    similarity: float


def similar_texts(
    earlier: Iterable[tuple[str, str]], texts: Iterable[tuple[str, str]], max_similarity: float
) -> Iterator[Similar]:
    """Yield every text that is too similar to an earlier one, or to a text before it that stays.

    ROUGE-L is the F-measure of the longest common subsequence of words, 2 LCS / (m + n), of words
    without case. That is the normalised Indel similarity of the two sequences.

    Args:
        earlier: (id, text) of what is there already.
        texts: (id, text) of what is new, in order: of two similar ones the first stays.
        max_similarity: Similarity above which a text is yielded; in (0, 1].

    Source: Lin, "ROUGE", 2004; as a filter: Self-Instruct, 2212.10560, section 2.2.

    Example:
        >>> list(similar_texts([("a", "How many pens has Ann?")],
        ...                    [("b", "How many pens has Ben?"), ("c", "Count the bricks.")], 0.7))
        [Similar(id='b', of='a', similarity=0.8)]
    """
    alphabet: dict[str, str] = {}
    ids, kept = [], []
    for id, text in earlier:
        ids.append(id)
        kept.append(_spell(text, alphabet))
    for id, text in texts:
        words = _spell(text, alphabet)
        found = process.extractOne(
            words, kept, scorer=Indel.normalized_similarity, score_cutoff=max_similarity
        )
        if words and found is not None and found[1] > max_similarity + _TOLERANCE:
            yield Similar(id, ids[found[2]], round(found[1], 3))
        else:
            ids.append(id)
            kept.append(words)


def _spell(text: str, alphabet: dict[str, str]) -> str:
    """The text with one character for every word: strings are what is compared fast."""
    return "".join(
        alphabet.setdefault(word, _letter(len(alphabet))) for word in _WORD.findall(text.casefold())
    )


def _letter(number: int) -> str:
    code = _FIRST + number
    return chr(code + len(_SURROGATES) if code >= _SURROGATES.start else code)
