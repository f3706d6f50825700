"""Runs by a calendar and the guard against running twice, in the operator's process: memory, questions, sums."""
