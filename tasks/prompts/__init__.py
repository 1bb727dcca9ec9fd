"""Prompts that a model makes: what it wrote as a question becomes a problem, or a rejection.

`make_prompts` reads the samples of one role, drops what is no new problem of its kind and writes
the others into `prompts`, where sampling finds them beside the environment's own.
"""

from tasks.prompts.make import MadeReport, make_prompts
from tasks.prompts.similar import Similar, similar_texts
from tasks.prompts.spec import PromptRules, Source

__all__ = [
    "MadeReport",
    "PromptRules",
    "Similar",
    "Source",
    "make_prompts",
    "similar_texts",
]
