"""Measures: numbers of a completion that follow from what a model says of texts, token by token.

`measure_samples` writes them as `scores` rows, `measure_batch` gives them in memory. The log-ratio
of two models is measured in two passes and joined, see `log_ratio`. What a model said while it
drew a sample (log-probability, entropy, self-certainty) is in `samples` and costs nothing;
`drawn_scores` makes `scores` rows of it.
"""

from tasks.measures.consistency import Consistency, rank_consistency
from tasks.measures.drawn import drawn_scores
from tasks.measures.log_ratio import POLICY, REFERENCE, join_log_ratio
from tasks.measures.measure import Measure, Reading, Subject, measure_batch, version_of
from tasks.measures.measures import (
    Entropy,
    ForwardBackward,
    Likelihood,
    PerplexityGap,
    PTrue,
    SelfCertainty,
)
from tasks.measures.run import measure_samples

__all__ = [
    "POLICY",
    "REFERENCE",
    "Consistency",
    "Entropy",
    "ForwardBackward",
    "Likelihood",
    "Measure",
    "PTrue",
    "PerplexityGap",
    "Reading",
    "SelfCertainty",
    "Subject",
    "drawn_scores",
    "join_log_ratio",
    "measure_batch",
    "measure_samples",
    "rank_consistency",
    "version_of",
]
