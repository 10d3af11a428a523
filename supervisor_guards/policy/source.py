"""The policies on disk, kept current: an edit is in force within seconds, a broken edit never is."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from pathlib import Path
from time import monotonic

from supervisor_guards.policy.document import PolicyError, load_policies, policy_files
from supervisor_guards.policy.engine import PolicySet, Unmatched

__all__ = ["PolicySource"]

logger = logging.getLogger("supervisor_guards")

RECHECK_SECONDS = 2.0
"""How old the last look at the files may be before `current` looks itself: longer than the background
worker's second, so that compiling stays off the request's path where there is a worker."""

Signature = tuple[tuple[str, int, int, int], ...]


class PolicySource:
    """The policies at `path`, a file or a folder, reloaded when a file changes, appears or goes.

    The first load raises `PolicyError`. Later ones never raise: a broken version is logged once, as an ERROR
    with file, line and rule, and the last good policies stay in force. Write files in one step (write
    another file, then rename it): half a file may be a valid, weaker policy. `shadow_only` marks policies that
    nobody has chosen, by which nothing may be enforced.
    """

    def __init__(self, path: Path | str, unmatched: Unmatched = "deny", *, shadow_only: bool = False) -> None:
        self.path = Path(path).absolute()
        self.shadow_only = shadow_only
        self._unmatched: Unmatched = unmatched
        self._reloading = threading.Lock()
        self._seen = _signature(self.path)
        self._policies = load_policies(self.path, unmatched)
        self._looked = monotonic()
        _sources.add(self)
        for warning in self._policies.warnings:
            logger.warning("policy: %s", warning, extra={"policy_path": str(self.path)})

    def _forked(self) -> None:
        self._reloading = threading.Lock()  # the parent's may be held by a thread that the child doesn't have

    @property
    def hash(self) -> str:
        """`PolicySet.hash` of the policies in force."""
        return self._policies.hash

    def current(self) -> PolicySet:
        """The policies in force."""
        if monotonic() - self._looked > RECHECK_SECONDS:
            self.refresh()
        return self._policies

    def refresh(self) -> bool:
        """Look at the files, and reload when they changed; whether other policies are in force now.

        Never raises. While one thread reloads, the others go on with what is in force.
        """
        if not self._reloading.acquire(blocking=False):
            return False
        try:
            self._looked = monotonic()
            signature = _signature(self.path)
            if signature == self._seen:
                return False
            # Taken before reading: a file that changes meanwhile differs again at the next look.
            self._seen = signature
            return self._reload()
        finally:
            self._reloading.release()

    def _reload(self) -> bool:
        try:
            fresh = load_policies(self.path, self._unmatched)
        except PolicyError as error:
            self._refused(error.problems)
            return False
        except Exception as error:
            self._refused((f"{self.path}: {type(error).__name__}: {error}",))
            return False
        changed = fresh.hash != self._policies.hash
        self._policies = fresh
        for warning in fresh.warnings:
            logger.warning("policy: %s", warning, extra={"policy_path": str(self.path)})
        if changed:
            labels = ", ".join(policy.label for policy in fresh.policies)
            logger.info("policy reloaded: %s", labels, extra={"policy_path": str(self.path)})
        return changed

    def _refused(self, problems: tuple[str, ...]) -> None:
        logger.error(
            "policy not reloaded, the last good version stays in force: %s",
            "; ".join(problems),
            extra={"policy_path": str(self.path)},
        )


def _signature(path: Path) -> Signature | None:
    """What changes when a policy file is edited, added or removed; None when they can't be looked at."""
    try:
        stats = [(file, file.stat()) for file in policy_files(path)]
    except OSError:
        return None
    return tuple((str(file), stat.st_mtime_ns, stat.st_size, stat.st_ino) for file, stat in stats)


_sources: weakref.WeakSet[PolicySource] = weakref.WeakSet()


def _after_fork() -> None:
    for source in list(_sources):
        source._forked()


os.register_at_fork(after_in_child=_after_fork)
