"""The stand-in API: a real HTTP server on this machine, with ground truth, a request pool and faults on demand.

Start with `simulation.py` (what is served, and the truth about it) and `serving.py` (how to start it). The package
imports nothing of the collector but its words, calendar, settings and clock, so agreement between the two is a proof.
"""
