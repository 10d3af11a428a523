"""A request's body beside the application: read before it in enforce, watched while it reads in shadow."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.types import Message, Receive

from supervisor_guards.web import STATE_KEY, Body, File, parse_body

_CHUNK = 65_536
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


class Prefix:
    """What was received before the application ran, and the channel that gives it back.

    The instance is the application's `receive`: every message once, in its order, then the server's own channel.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: deque[Message] = deque()
        self._size = 0
        self._error: Exception | None = None
        self.complete = False
        """The whole body is here."""
        self.gone = False
        """The client hung up."""

    @property
    def raw(self) -> bytes:
        """The bytes that are here."""
        return b"".join(message.get("body", b"") for message in self._messages)

    async def read(self, cap: int) -> None:
        """Receive until the body ends, more than `cap` bytes are here, or the client is gone."""
        while not (self.complete or self.gone) and self._size <= cap:
            self._note(await self._receive())

    async def watch(self, cap: int) -> None:
        """Receive until the client is gone, and keep at most about `cap` bytes; then wait without receiving."""
        while not self.gone:
            if self._size > cap or self._error is not None:
                await anyio.sleep_forever()
            ended = self.complete
            try:
                self._note(await self._receive())
            except Exception as error:  # the application's to handle, when it reads that far
                self._error = error
            if ended and not self.gone:  # a server that goes on after the end would be asked again for ever
                await anyio.sleep_forever()

    def peek(self, cap: int) -> Receive:
        """A `receive` for one more reader, who takes nothing away. Raises `BodyTooLarge` beyond `cap` bytes."""
        place = 0

        async def receive() -> Message:
            nonlocal place
            while place >= len(self._messages):
                if self.gone or self.complete:
                    return {"type": "http.disconnect"}
                self._note(await self._receive())
            if self._size > cap:
                raise BodyTooLarge(f"the body has more than {cap} bytes (max_body_bytes)")
            place += 1
            return self._messages[place - 1]

        return receive

    def _note(self, message: Message) -> None:
        self._messages.append(message)
        kind = message["type"]
        if kind == "http.request":
            self._size += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        elif kind in ("http.disconnect", "websocket.disconnect"):
            self.gone = True

    async def __call__(self) -> Message:
        if self._messages:
            return self._messages.popleft()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return await self._receive()


class BodyTooLarge(Exception):
    """A payload callable asks for more of the body than its rule may look at."""


class Watch:
    """The application's `receive` in shadow: the server's own messages, with a copy of the first `cap` bytes."""

    def __init__(self, receive: Receive, cap: int) -> None:
        self._receive = receive
        self._cap = cap
        self._chunks: list[bytes] = []
        self._size = 0
        self.touched = False
        self.complete = False
        """The final message was seen."""

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._note(message)
        return message

    def seen(self, scope: Mapping[str, Any]) -> tuple[bytes | None, bool]:
        """The bytes seen, at most one chunk more than `cap`, None where nobody read; and whether they are all.

        A request that declares no body has an empty one, read or not. Some servers leave out the final message of
        a small body; its declared length says as much.
        """
        headers = {name.lower(): value for name, value in scope["headers"]}
        length = headers.get(b"content-length")
        if not self.touched:
            none = length == b"0" or (length is None and b"transfer-encoding" not in headers)
            # Before HTTP/2, a body has to be declared (RFC 9112, section 6.3).
            none = none and str(scope.get("http_version", "")).startswith("1")
            return (b"", True) if none else (None, False)
        complete = self.complete or (length is not None and length.isdigit() and self._size >= int(length))
        return b"".join(self._chunks), complete

    def _note(self, message: Message) -> None:
        self.touched = True
        body = message.get("body", b"")
        if self._size <= self._cap:
            self._chunks.append(bytes(body))
        self._size += len(body)
        self.complete = not message.get("more_body", False)


async def body_of(
    raw: bytes | None, complete: bool, headers: Sequence[tuple[str, str]], cap: int, scope: Mapping[str, Any]
) -> Body:
    """The body of `raw`. Forms are read by the framework's parser, the one that the application uses.

    `headers` are in lower case. A form that the parser refuses is left unparsed, so no field of it can be read.
    """
    kind = _header(headers, "content-type")
    encoding = _header(headers, "content-encoding")
    fields: list[tuple[str, str]] | None = None
    files: list[File] = []
    if raw and complete and len(raw) <= cap and not encoding and kind.partition(";")[0].strip().lower() in _FORM_TYPES:
        try:
            async with replayed(raw, scope).form() as form:
                fields, files = await form_fields(form)
        except AssertionError:
            pass  # python-multipart is not installed, so the application has no parser either
        except Exception:
            # The framework's parser refuses it: nothing else may read a form out of these bytes.
            return parse_body(raw, "application/octet-stream", encoding, complete, cap)
    return parse_body(raw, kind, encoding, complete, cap, form=fields, files=files)


async def form_fields(form: FormData) -> tuple[list[tuple[str, str]], list[File]]:
    """The fields of a parsed form in their order, and what is known of its files, whose position is restored."""
    fields: list[tuple[str, str]] = []
    files: list[File] = []
    for name, value in form.multi_items():
        if isinstance(value, str):
            fields.append((name, value))
            continue
        await value.seek(0)
        hashed, size = hashlib.sha256(), 0
        while chunk := await value.read(_CHUNK):
            hashed.update(chunk)
            size += len(chunk)
        await value.seek(0)
        files.append(File(name, value.filename or "", size, value.content_type or "", hashed.hexdigest()))
    return fields, files


def replayed(raw: bytes | None, scope: Mapping[str, Any]) -> Request:
    """A request of its own over `raw`; it shares nothing with the application's. It never waits for the client."""
    messages: list[Message] = [{"type": "http.disconnect"}]
    if raw is not None:
        messages.insert(0, {"type": "http.request", "body": raw, "more_body": False})

    async def receive() -> Message:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    own = {key: value for key, value in scope.items() if key != STATE_KEY}
    return Request(own, receive)


def _header(headers: Sequence[tuple[str, str]], name: str) -> str:
    return next((value for key, value in headers if key == name), "")
