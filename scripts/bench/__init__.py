"""Benchmarks of the collector, all on this machine: `python -m scripts.bench throughput|memory|pacing|…`.

Each part is a module of its own, which starts servers and clients as processes, measures them from outside, prints a
table and keeps its figures as JSON under `.bench/results/`. `charts` draws those into docs/.
"""
