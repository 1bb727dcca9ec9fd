"""Asking a model: one primitive for every role, over any rows, once or in a chain.

`Sample` says what is asked, `RowSource` gives the rows, `ask_shard` asks and commits `samples`, and
`parse_shard` turns what the parsers find into `scores`.
"""

from tasks.ask.asked_messages import asked_messages, find_link, sampling_text
from tasks.ask.draw import DrawRule, is_decided, next_draw
from tasks.ask.draw_report import DrawReport, draw_report
from tasks.ask.opinions import opinion_rows, parse_shard
from tasks.ask.parsers import (
    AnswerParser,
    ChoiceParser,
    CodeParser,
    EnvironmentReader,
    JsonParser,
    ListParser,
    Parsed,
    Parser,
    PassageParser,
    Reader,
    ScoreParser,
    VerdictParser,
    read,
)
from tasks.ask.run import ask_shard
from tasks.ask.sample import Chain, Sample, as_chain, ask_seed
from tasks.ask.sources import AskedRow, RowSource, asked_row
from tasks.ask.template import Template, TemplateMessage

__all__ = [
    "AnswerParser",
    "AskedRow",
    "Chain",
    "ChoiceParser",
    "CodeParser",
    "DrawReport",
    "DrawRule",
    "EnvironmentReader",
    "JsonParser",
    "ListParser",
    "Parsed",
    "Parser",
    "PassageParser",
    "Reader",
    "RowSource",
    "Sample",
    "ScoreParser",
    "Template",
    "TemplateMessage",
    "VerdictParser",
    "as_chain",
    "ask_seed",
    "ask_shard",
    "asked_messages",
    "asked_row",
    "draw_report",
    "find_link",
    "is_decided",
    "next_draw",
    "opinion_rows",
    "parse_shard",
    "read",
    "sampling_text",
]
