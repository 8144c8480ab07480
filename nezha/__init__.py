"""Nezha: machine-learning jobs on Kubernetes read object stores at local-disk speed, unchanged."""

__version__ = "0.1.0"
