"""Collects Braze session counts into a data lake. The config declares the coverage; each run adds what is missing."""

__version__ = "0.9.0"
