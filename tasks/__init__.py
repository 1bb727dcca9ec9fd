"""How one stage of a round works: environments, sampling, checks, selection, training, evaluation.

Everything here is a plain function or class over tables, and none of it knows Prefect. It builds on
`sandbox` and `storage`, and `flows` puts it together.
"""
