"""Checks: one opinion about one sample or one prompt, written to `scores` and `votes`.

Answers are parsed and canonicalised in Python, once per distinct string; votes are SQL over the
warehouse. Nothing here decides what is trained on: that is `tasks.selection`.
"""
