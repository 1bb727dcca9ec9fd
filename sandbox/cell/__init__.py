"""The code that runs inside a cell: the zygote (process 1) and what it does for a program.

Bound read-only into the jail on its own, so it imports the standard library and itself only.
"""
