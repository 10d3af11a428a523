"""A request, how much of its answer is read, and the answer: values, without I/O."""

from __future__ import annotations

import json
from typing import Any, Protocol

import msgspec

from supervisor_guards.remote.faults import Fault

ANSWER_BYTES = 4_194_304
"""An answer of more than this is a failure."""


_BETWEEN = " \t\r\n,["


class Reader(Protocol):
    """Takes the pieces of an answer's body."""

    def feed(self, piece: bytes) -> bool:
        """Take `piece`; True when no more is needed. Raises `Fault` when there is too much."""
        ...


class Whole:
    """All of a body, up to `limit` bytes."""

    def __init__(self, limit: int = ANSWER_BYTES) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> bool:
        """Keep `piece`."""
        self._size += len(piece)
        if self._size > self._limit:
            raise Fault("wrong", f"answered with more than {self._limit} bytes")
        self._pieces.append(piece)
        return False

    @property
    def body(self) -> bytes:
        """What was read."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


class Scan:
    """Looks for the case of one action in a list of cases, newest first, and reads no further than it must.

    It stops at the case, at the first one created before `since` (as the protocol writes times), and after `limit`
    bytes. `found` is the case as JSON, None while it wasn't seen; `wrong` says why it is no list of cases.
    """

    def __init__(self, action_id: str, since: str, limit: int = ANSWER_BYTES) -> None:
        self._action_id = action_id
        self._since = since
        self._left = limit
        self._text = ""
        self._bytes = b""
        self._begun = False
        self._decode = json.JSONDecoder().raw_decode
        self.found: dict[str, Any] | None = None
        self.wrong: Fault | None = None

    def feed(self, piece: bytes) -> bool:
        """Look through the cases that end in `piece`."""
        self._left -= len(piece)
        self._bytes += piece
        try:
            text, self._bytes = self._bytes.decode(), b""
        except UnicodeDecodeError as error:  # a character that goes on in the next piece
            if len(self._bytes) - error.start > 3:
                return self._no_list()
            text, self._bytes = self._bytes[: error.start].decode(), self._bytes[error.start :]
        self._text += text
        return self._looked() or self._left <= 0

    def _looked(self) -> bool:
        at, text = 0, self._text
        while True:
            while at < len(text) and text[at] in _BETWEEN:
                self._begun = self._begun or text[at] == "["
                at += 1
            if at >= len(text):
                break
            if text[at] == "]":
                return True
            if text[at] != "{" or not self._begun:
                return self._no_list()
            try:
                case, at = self._decode(text, at)
            except ValueError:  # the rest of it comes with the next piece
                break
            if case.get("action_id") == self._action_id:
                self.found = case
                return True
            created = case.get("created_at")
            if type(created) is str and created < self._since:
                return True
        self._text = text[at:]
        return False

    def _no_list(self) -> bool:
        self.wrong = Fault("wrong", "answered with no list of cases")
        return True


class Request(msgspec.Struct, frozen=True):
    """What is sent. `repeatable`: asking twice is as good as asking once."""

    method: bytes
    target: bytes
    body: bytes | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    repeatable: bool = False

    def __repr__(self) -> str:
        """Without headers and body: a traceback that shows variables must not show the token."""
        return f"<Request {self.method!r} {self.target!r}>"


class Answer(msgspec.Struct, frozen=True):
    """What came back, its body apart: that is in the reader."""

    status: int
    retry_after: str | None = None
    link: str | None = None
    """The `Link` header (RFC 8288), as lists of several pages have it."""
