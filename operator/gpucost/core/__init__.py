"""Decisions and arithmetic: pure functions of their arguments.

Nothing here knows Kubernetes clients, HTTP, clocks, files or randomness. That is what lets the same code run in the
operator, in a dry run, offline on a scenario file and in property tests.
"""
