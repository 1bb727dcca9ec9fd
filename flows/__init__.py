"""Flows: what runs and when. Prefect flows and deployments, recipes, the command line.

This room puts together what `tasks`, `sandbox` and `storage` do; nothing imports it.
"""
