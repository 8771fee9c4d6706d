"""Months of nightly runs in virtual time, checked against a second implementation of the lake in memory.

`model.py` computes from the journal what every table must hold, with none of the collector's merge, landing or coverage
code. After each run `lake_checker.py` compares the lake with it, row by row, and `ledger.py` checks what was requested.

This catches what tests of the store cannot: they check that a file is published completely and in order, not that its
content is right. A merge that drops a row, a restatement that is missing or there twice, a revision out of order,
coverage that names a bucket without an answer, a window that is requested again: each shows only when crashes, full
disks, suspended runs, late counts and config changes follow one another, and something else knows the right content.

In: a seed. Out: nothing, or a `Violation` that names seed and night. `soak.py` plays many seeds.
"""
