"""Replays recorded traces through the policies of the core, without a cluster."""
