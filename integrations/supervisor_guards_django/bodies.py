"""A request's body beside the view: read before it where a rule may refuse, watched while it is read in shadow."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest, SuspiciousOperation

from supervisor_guards.web import Body, File, RouteRule, Watch, parse_body

_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"


def read_body(request: Any, rule: RouteRule) -> Body:
    """The body that `rule` looks at, before the view runs.

    A form is parsed by Django and shared with the view, an upload's bytes are never held in memory, and nothing is
    read that Django itself would call too much. What Django raises about a form is Django's to answer
    (`RequestDataTooBig`, `TooManyFieldsSent`, `MultiPartParserError`).
    """
    kind = _media_type(request)
    if not rule.reads_body:
        return _unread(request, kind)
    if kind == _MULTIPART:
        return _form(request) if request.method == "POST" else _unread(request, kind)
    if not hasattr(request, "_body"):
        if request._read_started:
            return Body("streamed", content_type=kind)
        length = _length(request)
        if length > rule.max_body_bytes:
            return Body("too_large", size=length, content_type=kind)
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if limit is not None and length > limit and not (kind == _URLENCODED and request.method == "POST"):
            return Body("too_large", size=length, content_type=kind)
    return _parsed(request, request.body, True, rule)


def seen_body(request: Any, rule: RouteRule, watch: Watch | None) -> Body:
    """The body as far as the view has read it: for shadow, afterwards. Reads nothing itself."""
    kind = _media_type(request)
    if not rule.reads_body:
        return _unread(request, kind)
    if kind == _MULTIPART:
        return _form(request, content=False) if hasattr(request, "_files") else _unread(request, kind)
    if hasattr(request, "_body"):
        try:
            return _parsed(request, request._body, True, rule)
        except (BadRequest, SuspiciousOperation):
            # Django refuses the form. The view went on all the same, so nothing else may read a form out of it.
            encoding = request.META.get("HTTP_CONTENT_ENCODING", "")
            return parse_body(request._body, "application/octet-stream", encoding, True, rule.max_body_bytes)
    if watch is None or not watch.touched:
        # A body that isn't there needs nobody to read it: Django gives views no byte beyond the declared length.
        return _unread(request, kind) if request._read_started or _length(request) else parse_body(b"", kind)
    return _parsed(request, watch.raw, watch.complete, rule)


def watch(request: Any, cap: int) -> Watch | None:
    """Watch the body of `request` while the view reads it; None where nothing is to be seen that way."""
    if hasattr(request, "_body") or request._read_started or _media_type(request) == _MULTIPART:
        return None
    stream = getattr(request, "_stream", None)
    if stream is None:
        return None
    found = request._stream = Watch(stream, cap)
    return found


def _parsed(request: Any, raw: bytes, complete: bool, rule: RouteRule) -> Body:
    """The fields of a form are those that Django found; a method other than POST has none there."""
    form = None
    if complete and request.method == "POST" and _media_type(request) == _URLENCODED and hasattr(request, "_body"):
        form = _pairs(request.POST)
    return parse_body(
        raw,
        request.META.get("CONTENT_TYPE", ""),
        request.META.get("HTTP_CONTENT_ENCODING", ""),
        complete,
        rule.max_body_bytes,
        form=form,
    )


def _form(request: Any, *, content: bool = True) -> Body:
    return form_body(request, request.POST, request.FILES, content=content)


def form_body(request: Any, post: Any, uploads: Any, *, content: bool) -> Body:
    """A form's fields and files. Without `content` files are left alone: the view may be at work on them still."""
    fields = _pairs(post)
    files = [_file(name, file, content) for name, listed in uploads.lists() for file in listed]
    return parse_body(
        None,
        request.META.get("CONTENT_TYPE", ""),
        request.META.get("HTTP_CONTENT_ENCODING", ""),
        form=fields,
        files=files,
    )


def _pairs(fields: Any) -> tuple[tuple[str, str], ...]:
    """Texts alone: Django REST framework has the files among the fields as well."""
    return tuple((name, value) for name, values in fields.lists() for value in values if isinstance(value, str))


def _file(field: str, file: Any, content: bool) -> File:
    """What is known of an uploaded file. Its content is hashed where the handler kept it, and put back to its start."""
    digest = None
    if content and hasattr(file, "chunks"):
        found = hashlib.sha256()
        for chunk in file.chunks():
            found.update(chunk)
        file.seek(0)
        digest = found.hexdigest()
    return File(field, str(getattr(file, "name", "")), getattr(file, "size", None), file.content_type or "", digest)


def _unread(request: Any, kind: str) -> Body:
    return Body("unread", size=_length(request) or None, content_type=kind)


def _media_type(request: Any) -> str:
    return (request.content_type or "").strip().lower()


def _length(request: Any) -> int:
    """The body's size in bytes: as declared, or as the server has spooled it, whichever is more."""
    declared = str(request.META.get("CONTENT_LENGTH") or "0")
    length = int(declared) if declared.isdecimal() else 0
    stream = getattr(request, "_stream", None)
    if stream is None or request._read_started or not getattr(stream, "seekable", lambda: False)():
        return length
    place = stream.tell()
    size: int = stream.seek(0, io.SEEK_END)
    stream.seek(place)
    return max(length, size)
