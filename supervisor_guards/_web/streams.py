"""A request's body as a WSGI server hands it over: watched while the application reads it, or put back after us."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any


class Watch:
    """Stands for a request's stream while the application reads it, and keeps a copy of the first `cap` bytes.

    `length` is how many bytes the request says it has, None where it doesn't say.
    """

    def __init__(self, stream: Any, cap: int, length: int | None = None) -> None:
        self._stream = stream
        self._cap = cap
        self._length = length
        self._kept = io.BytesIO()
        self._at_end = False
        self.touched = False
        if hasattr(stream, "readinto"):  # who asks whether a stream has it must find what the stream itself has
            self.readinto = self._readinto

    @property
    def raw(self) -> bytes:
        """What was read, at most one byte more than the cap."""
        return self._kept.getvalue()

    @property
    def complete(self) -> bool:
        """The stream was read to its end, or to the cap."""
        seen = self._kept.tell()
        return self._at_end or seen > self._cap or (self._length is not None and seen >= self._length)

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        """As the stream itself."""
        data: bytes = self._stream.read(*args, **kwargs)
        size = args[0] if args else None
        return self._note(data, whole=size is None or size < 0 or len(data) < size)

    def readline(self, *args: Any, **kwargs: Any) -> bytes:
        """As the stream itself."""
        return self._note(self._stream.readline(*args, **kwargs), whole=False)

    def readlines(self, *args: Any, **kwargs: Any) -> list[bytes]:
        """As the stream itself."""
        lines: list[bytes] = self._stream.readlines(*args, **kwargs)
        for line in lines:
            self._note(line, whole=False)
        self._at_end = self._at_end or not args
        return lines

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            yield self._note(line, whole=False)
        self._note(b"", whole=True)

    def _readinto(self, buffer: Any) -> int | None:
        count: int | None = self._stream.readinto(buffer)
        if count is not None:
            self._note(bytes(memoryview(buffer)[:count]), whole=count == 0 and len(buffer) > 0)
        return count

    def _note(self, data: bytes, *, whole: bool) -> bytes:
        self.touched = True
        self._at_end = self._at_end or whole or not data
        self._kept.write(data[: max(0, self._cap + 1 - self._kept.tell())])
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Replay(io.RawIOBase):
    """A stream whose first bytes were read already: `head` comes again, then the rest of `stream` as it arrives."""

    def __init__(self, head: bytes, stream: Any) -> None:
        self._head = io.BytesIO(head)
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        data = self._head.read(len(view)) or self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)


def read_up_to(stream: Any, limit: int) -> bytes:
    """The first `limit` bytes of `stream`, fewer where it ends before."""
    found = bytearray()
    while len(found) < limit:
        data = stream.read(limit - len(found))
        if not data:
            break
        found += data
    return bytes(found)
