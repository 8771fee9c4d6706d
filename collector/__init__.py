"""Collects Braze session analytics into a data lake: the config declares the coverage, each run converges to it."""

__version__ = "0.1.0"
