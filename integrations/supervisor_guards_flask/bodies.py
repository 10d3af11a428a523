"""A request's body beside the view: read before it where a rule may refuse, watched while it is read in shadow."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from supervisor_guards.web import Body, File, Replay, RouteRule, Watch, parse_body, read_up_to

_MULTIPART = "multipart/form-data"
_FORMS = (_MULTIPART, "application/x-www-form-urlencoded")
_INPUT = "wsgi.input"


def read_body(request: Any, rule: RouteRule, watch: Watch | None) -> Body:
    """The body that `rule` looks at, before the view runs, which then finds its stream as if nobody had read it.

    At most the rule's cap is held in memory. `watch` tells what hooks before us have read. A form is parsed by Flask,
    and shared with the view; what Flask raises about a body is Flask's to answer (`RequestEntityTooLarge`,
    `ClientDisconnected`).
    """
    if not rule.reads_body:
        return _unread(request)
    known = _known(request, rule, watch)
    if known is not None:
        return known
    length = request.content_length or 0
    if length <= rule.max_body_bytes:
        raw = read_up_to(request.stream, rule.max_body_bytes + 1)
        if len(raw) <= rule.max_body_bytes:
            return _put_back(request, raw, rule)
        _rewind(request, Replay(raw, request.environ[_INPUT]))
        length = len(raw)
    if request.mimetype == _MULTIPART and (request.form or request.files):
        return _form(request)  # an upload: its files are where Flask keeps them, on disk
    return Body("too_large", size=length, content_type=request.mimetype)


def seen_body(request: Any, rule: RouteRule, watch: Watch | None) -> Body:
    """The body as far as the view has read it: for shadow, afterwards. Reads nothing itself."""
    if not rule.reads_body:
        return _unread(request)
    if watch is not None and watch.touched and request.mimetype != _MULTIPART:
        return _parsed(request, watch.raw, watch.complete, rule)
    return _known(request, rule, watch, content=False) or _unread(request)


def watch_body(request: Any, cap: int) -> Watch | None:
    """Watch the body of `request` while it is read; None where it may have been read already."""
    stream = request.environ.get(_INPUT)
    if stream is None or isinstance(stream, Watch) or "stream" in request.__dict__:
        return None
    found = request.environ[_INPUT] = Watch(stream, cap, request.content_length)
    return found


def _known(request: Any, rule: RouteRule, watch: Watch | None, *, content: bool = True) -> Body | None:
    """What somebody has read before; None where the stream is as the client sent it."""
    if "form" in request.__dict__ and request.mimetype in _FORMS:
        return _form(request, content=content)
    cached = getattr(request, "_cached_data", None)
    if cached is not None:
        return _parsed(request, cached, True, rule)
    if watch is None:
        return Body("streamed", content_type=request.mimetype) if "stream" in request.__dict__ else None
    if not watch.touched:
        return None
    if watch.complete:
        return _parsed(request, watch.raw, True, rule)
    return Body("streamed", content_type=request.mimetype)


def _put_back(request: Any, raw: bytes, rule: RouteRule) -> Body:
    """The body `raw`, whole, which the view can read again by every way that Flask has."""
    _rewind(request, io.BytesIO(raw))
    is_form = request.mimetype in _FORMS
    if is_form:
        fields = request.form
        _rewind(request, io.BytesIO(raw))
        request.data = b""  # what Flask itself finds there after a form
        if request.mimetype == _MULTIPART and (fields or request.files or not raw):
            return _form(request)
    return _parsed(request, raw, True, rule)


def _rewind(request: Any, stream: Any) -> None:
    request.environ[_INPUT] = stream
    request.__dict__.pop("stream", None)


def _parsed(request: Any, raw: bytes, complete: bool, rule: RouteRule) -> Body:
    """The fields of a form are those that Flask found."""
    form = None
    if complete and "form" in request.__dict__ and request.mimetype in _FORMS:
        form = tuple(request.form.items(multi=True))
    return parse_body(
        raw,
        request.environ.get("CONTENT_TYPE", ""),
        request.environ.get("HTTP_CONTENT_ENCODING", ""),
        complete,
        rule.max_body_bytes,
        form=form,
    )


def _form(request: Any, *, content: bool = True) -> Body:
    """A form's fields and files. Without `content` files are left alone: the view may be at work on them still."""
    return parse_body(
        None,
        request.environ.get("CONTENT_TYPE", ""),
        request.environ.get("HTTP_CONTENT_ENCODING", ""),
        form=tuple(request.form.items(multi=True)),
        files=[_file(name, file, content) for name, file in request.files.items(multi=True)],
    )


def _file(field: str, file: Any, content: bool) -> File:
    """What is known of an uploaded file. Its content is hashed, and put back to its start."""
    if not content:
        return File(field, file.filename or "", None, file.mimetype or "")
    found, size = hashlib.sha256(), 0
    while chunk := file.stream.read(65_536):
        found.update(chunk)
        size += len(chunk)
    file.stream.seek(0)
    return File(field, file.filename or "", size, file.mimetype or "", found.hexdigest())


def _unread(request: Any) -> Body:
    return Body("unread", size=request.content_length or None, content_type=request.mimetype)
