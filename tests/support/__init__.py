"""What several test packages share.

- `builders.py`: values with defaults.
- `night.py`: `Night`, a config and a lake; commands run in this process, the lake is read by DuckDB.
- `program.py`: `Program`, the collector as a process. `site.py`: `Site`, a night with a stand-in that is served.
- `crash_test.py`, `crashing_process.py`, `ledger.py`: runs killed at a chosen step, and what the lake must hold then.
- `suspending_store.py`: a run in this process that is suspended at a chosen step of its store.
- `virtual.py`: virtual time, `VirtualBraze`, and the fetch of one workspace in them.

`Night`, `Program`, the suspended run and the crashing process differ for a reason: only a process has exit codes and
signals, only a run in this process can stop at an exact step, and only a forked one is cheap enough to be killed often.
"""
