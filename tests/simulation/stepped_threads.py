"""Threads of which one runs at a time: each stops before each of its store operations, until it is its turn again.

The store work of all workspaces, and the event loop, so meet between any two store operations, as they do on real
threads. Which one goes on is decided by virtual time and the seed alone, so a seed still gives the same month again.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from unittest.mock import patch

from collector.lake import lease
from tests.simulation.reading import Violation

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")

_MOST_THREADS = 64
"""More than any run has at work at once. A job without a thread would never come to its turn."""

_present = threading.local()
"""`job`: the job that this thread runs."""


class SteppedThreads(Executor):
    """Runs each job on a thread, one step at a time. `wait()`: the virtual seconds before the next step."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wait: Callable[[], float]) -> None:
        self._loop, self._wait = loop, wait
        self._threads = ThreadPoolExecutor(_MOST_THREADS)
        self._jobs: dict[_Job, None] = {}
        self.most_at_once = 0

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a job; its first step comes later."""
        job = _Job(partial(work, *args, **kwargs))
        self._threads.submit(job.run)
        self._jobs[job] = None
        self.most_at_once = max(self.most_at_once, len(self._jobs))
        self._loop.call_later(self._wait(), self._step, job)
        return job.future

    def finish(self) -> None:
        """Let all jobs that are left end, as a process does that waits for its threads before it exits."""
        while self._jobs:
            for job in list(self._jobs):
                if job.step():
                    del self._jobs[job]
        self._threads.shutdown()

    def _step(self, job: _Job) -> None:
        if job not in self._jobs:
            return
        if job.step():
            del self._jobs[job]
        else:
            self._loop.call_later(self._wait(), self._step, job)


class _Job:
    """One function on its thread. It and the thread of the event loop hand the turn to each other."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        self._work = work
        self._turn, self._returned = threading.Semaphore(0), threading.Semaphore(0)
        self._over = False

    def step(self) -> bool:
        """Run the job up to its next stop. Whether it is over."""
        self._turn.release()
        self._returned.acquire()
        return self._over

    def stop(self) -> None:
        """Wait for the next turn; called on the job's own thread."""
        self._returned.release()
        self._turn.acquire()

    def run(self) -> None:
        """Run to the end."""
        self._turn.acquire()
        _present.job = self
        try:
            result = self._work()
        except BaseException as error:  # the crash of the simulated process, too
            self.future.set_exception(error)
        else:
            self.future.set_result(result)
        finally:
            del _present.job
            self._over = True
            self._returned.release()


def stop_here() -> None:
    """Let others run before a store operation. Raises Violation on the event loop's thread, which would be held up."""
    job = getattr(_present, "job", None)
    if job is None:
        raise Violation("the store is used on the event loop's thread")
    job.stop()


class SteppedLock:
    """A mutex that gives the turn away while another job holds it: the job that waits must not keep it."""

    def __init__(self) -> None:
        self._held = False

    def __enter__(self) -> None:
        while self._held:
            stop_here()
        self._held = True

    def __exit__(self, *_: object) -> None:
        self._held = False


@contextmanager
def stepped_locks() -> Iterator[None]:
    """Give the workspaces' locks a mutex that knows of turns."""
    with patch.object(lease, "threading", SimpleNamespace(Lock=SteppedLock)):
        yield
