"""Benchmarks of the collector, all on this machine: `python -m scripts.bench throughput|memory|pacing|…`.

Each part is a module. It starts servers and clients as processes, measures them from outside, prints a table and saves
its figures as JSON under `.bench/results/`. `charts` draws these into docs/.
"""
