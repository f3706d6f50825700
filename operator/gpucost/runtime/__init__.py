"""Wiring: settings, caches, the loop, the lease, health and metrics."""
