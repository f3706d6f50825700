"""Inference servers that are none, and a bounded load for them: what tests of right-sizing run against."""
