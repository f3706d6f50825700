"""Measured figures of the operator on a real control plane: what it costs to run, and how fast it reacts.

A promise that nobody measures is a wish. Every figure here is taken from the operator as users run it (a process under
the chart's RBAC, real API server, real Prometheus); only nodes, kubelets and GPU series are simulated.
"""
