"""The simulated API: a real HTTP server on this machine, with ground truth, a request quota and faults on demand.

Start with `simulation.py` (the state and the ground truth) and `server.py` (how to serve it). A request is read from
`server.py`, `endpoint.py`, `answers.py`, `simulation.py` and `traffic.py`. The package imports only the collector's
model, buckets, settings and clock. It shares no code for requests, decoding or storage, so a lake that agrees with it
is right.
"""
