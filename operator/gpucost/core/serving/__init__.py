"""Serving: how many replicas an endpoint needs."""
