"""Near-duplicates: texts with most of their word triples in common, by MinHash."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import rensa

NUM_HASHES = 128  # the standard error of a similarity is at most 0.044
NUM_BANDS = 32  # of 4 hashes: a pair of similarity 0.8 is missed once in 20 million
WORDS_PER_SHINGLE = 3
MAX_CHARACTERS = 200_000  # of longer texts only the beginning is compared
SEED = 1

_WORD = re.compile(r"\w+")


class Text(NamedTuple):
    """A text to compare, and the scope within which it is compared."""

    id: str
    scope: str
    text: str


class NearCopy(NamedTuple):
    """A text that is nearly one that came before it."""

    id: str
    of: str
    similarity: float


def near_copies(texts: Iterable[Text], similarity: float) -> Iterator[NearCopy]:
    """Yield every text that is nearly an earlier text of its scope which stays.

    Args:
        texts: Texts of one scope behind each other; memory is needed for one scope at a time.
        similarity: Estimated Jaccard similarity of the sets of word triples, from which a text is
            a copy; in (0, 1].

    Example:
        >>> words = "one two three four five six seven eight nine ten eleven twelve"
        >>> texts = [Text("a", "p", words), Text("b", "p", words + "!"), Text("c", "q", words)]
        >>> list(near_copies(texts, 0.8))
        [NearCopy(id='b', of='a', similarity=1.0)]
    """
    scope: str | None = None
    kept: list[tuple[str, rensa.RMinHash]] = []
    for one in texts:
        if one.scope != scope:
            scope, kept = one.scope, []
            # Far below the similarity, so that the index never decides: hashes are compared below.
            index = rensa.RMinHashLSH(threshold=0.1, num_perm=NUM_HASHES, num_bands=NUM_BANDS)
        shingles = _shingles(one.text)
        if not shingles:
            continue
        sketch = rensa.RMinHash(num_perm=NUM_HASHES, seed=SEED)
        sketch.update(shingles)
        found = [(sketch.jaccard(kept[key][1]), -key) for key in index.query(sketch)]
        best, place = max(found, default=(0.0, 0))
        if best >= similarity:
            yield NearCopy(one.id, kept[-place][0], round(best, 3))
        else:
            index.insert(len(kept), sketch)
            kept.append((one.id, sketch))


def _shingles(text: str) -> list[str]:
    words = _WORD.findall(text[:MAX_CHARACTERS].casefold())
    if not words:
        return []
    last = max(1, len(words) - WORDS_PER_SHINGLE + 1)
    return [" ".join(words[i : i + WORDS_PER_SHINGLE]) for i in range(last)]
