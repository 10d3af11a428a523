"""The chain's head, written where who edits the store can't edit it: only so can a missing end be found."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from supervisor_guards.errors import ConfigurationError

if TYPE_CHECKING:
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.store import Store

__all__ = ["Anchor", "Anchors", "read"]

logger = logging.getLogger("supervisor_guards.evidence")
_TIMEOUT = 5.0


class Anchor(msgspec.Struct, frozen=True):
    """The head of a segment at one moment, as one line of JSON. `time` is microseconds since the epoch."""

    segment: int
    head: str
    time: int
    key_id: str = ""

    @property
    def line(self) -> str:
        """The line, without its end."""
        return msgspec.json.encode(self).decode()


def read(path: Path) -> list[Anchor]:
    """The anchors in a file, in its order. Raises `ConfigurationError` naming the line that is none."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"can't read the anchors in {path}: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(msgspec.json.decode(line, type=Anchor))
            except msgspec.DecodeError as error:
                raise ConfigurationError(f"{path}, line {number} is not an anchor: {error}") from None
    return found


class Anchors:
    """Writes the head to `place`, at most every `interval` seconds and only when it has moved.

    `place` is a file's path (lines are appended, mode 0600), `log` (logger `supervisor_guards.evidence`), or an
    http(s) URL that gets each anchor by POST, from a thread of its own. A place that fails is logged, and tried
    again at the next interval.
    """

    def __init__(self, place: str, interval: float) -> None:
        self._place = place
        self._is_url = place.startswith(("http://", "https://"))
        # A webhook's path is often its secret.
        self._shown = urlsplit(place).hostname if self._is_url else place
        self._interval = interval
        self._next = 0.0
        self._written: str | None = None
        self._posting: threading.Thread | None = None

    def write_if_due(self, store: Store | MemoryStore) -> None:
        """Write the head of `store`, if it is time."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._interval
            self.write(store)

    def write(self, store: Store | MemoryStore) -> None:
        """Write the head of `store`, if it has moved."""
        anchor = store.anchor()
        if anchor is None or anchor.head == self._written:
            return
        try:
            self._send(anchor)
        except Exception as error:
            logger.error("the anchor of segment %d was not written to %s: %s", anchor.segment, self._shown, error)
        else:
            self._written = anchor.head

    def finish(self, store: Store | MemoryStore) -> None:
        """Write the last head, and wait for its POST."""
        self.write(store)
        if self._posting is not None:
            self._posting.join(_TIMEOUT)

    def _send(self, anchor: Anchor) -> None:
        if self._place == "log":
            logger.info("anchor %s", anchor.line)
        elif self._is_url:
            self._posting = threading.Thread(target=self._post, args=(anchor,), name="supervisor-guards-anchor")
            self._posting.daemon = True
            self._posting.start()
        else:
            append(Path(self._place), anchor)

    def _post(self, anchor: Anchor) -> None:
        import httpx

        try:
            answer = httpx.post(
                self._place,
                content=anchor.line,
                headers={"content-type": "application/json"},
                timeout=_TIMEOUT,
                trust_env=False,
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            logger.error(
                "the anchor of segment %d was not written to %s: %s", anchor.segment, self._shown, type(error).__name__
            )
            self._written = None


def append(path: Path, anchor: Anchor) -> None:
    """Add a line to the file at `path`, which is made with mode 0600. Raises `OSError`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, anchor.line.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
