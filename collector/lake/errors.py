"""What can be wrong with a lake. The class says what to do; the text names the file and what to do about it."""

from __future__ import annotations


class LakeError(Exception):
    """The lake cannot be read or written: the workspace's run stops, what has landed stays (exit 5)."""


class Damaged(LakeError):
    """A file that the collector wrote cannot be read as what it wrote. `path` names it, `reason` says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} is not as the collector wrote it ({reason}). `collector repair` moves it aside, and tells what "
            "the next run fetches anew"
        )
        self.path, self.reason = path, reason


class LakeRefused(LakeError):
    """The lake holds what this config or program must not be mixed with: nothing is read or written (exit 2)."""


class LakeBusy(LakeError):
    """Another run holds the workspace (exit 4)."""


class Swept(LakeError):
    """What was staged is gone before it was published: the run that took the workspace meanwhile has swept it away."""


class Conflict(LakeError):
    """A file is not what it was when it was read: another run has replaced it, and nothing was overwritten."""
