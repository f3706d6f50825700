"""gpucost: a Kubernetes operator that makes the cost of GPUs visible and acts on it."""

__version__ = "0.1.0"
