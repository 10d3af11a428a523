"""What a request's body is, read without trusting what it says of itself. Nothing here raises."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec

from supervisor_guards._markers import UNREAD

BodyStatus = Literal[
    "absent", "unread", "parsed", "invalid", "unsupported_type", "too_large", "encoded", "streamed", "truncated"
]
Pairs = tuple[tuple[str, str], ...]

DEFAULT_MAX_BODY_BYTES = 262_144
"""How much of a body is read for a rule that doesn't say."""

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
_MAX_FILENAME = 200
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1"})


class File(msgspec.Struct, frozen=True):
    """An uploaded file: what is known about it, never its content. `size` is in bytes, `sha256` hexadecimal.

    Of `filename`, what the client sent, only the last part without control characters is kept.
    """

    field: str
    filename: str
    size: int | None = None
    content_type: str = ""
    sha256: str | None = None

    def __post_init__(self) -> None:
        last = self.filename.replace("\\", "/").rpartition("/")[2]
        shown = "".join(character for character in last if character.isprintable())
        msgspec.structs.force_setattr(self, "filename", shown[:_MAX_FILENAME])


class Body(msgspec.Struct, frozen=True):
    """A request's body, and what could be made of it.

    `data` is what JSON (or a form) holds where `status` is `parsed`. `form` has a form's fields in their order,
    repeated ones included, None where the body is no form. `size` is in bytes, as far as it was read; `digest`
    a hash of the raw bytes, None where they weren't all seen.
    """

    status: BodyStatus = "absent"
    data: Any = None
    form: Pairs | None = None
    files: tuple[File, ...] = ()
    size: int | None = None
    content_type: str = ""
    duplicate_keys: bool = False
    digest: bytes | None = None

    @property
    def ambiguous(self) -> bool:
        """Whether the application may read something else here: a name twice, or a form that is JSON as well."""
        return self.duplicate_keys or (self.data is not None and self.form is not None)


def parse_body(
    raw: bytes | None,
    content_type: str = "",
    content_encoding: str = "",
    complete: bool = True,
    cap: int = DEFAULT_MAX_BODY_BYTES,
    *,
    form: Sequence[tuple[str, str]] | None = None,
    files: Sequence[File] = (),
) -> Body:
    """The body whose first bytes are `raw`; None where nobody read it.

    `complete` says that `raw` is all of it, `cap` how many bytes a rule may look at. JSON is looked for in the
    content whatever `content_type` says, as `json.loads` in an application would. `form` and `files` are what
    the framework's own parser found; without them `application/x-www-form-urlencoded` is read here, and
    multipart is `unsupported_type`. Never raises.
    """
    kind = media_type(content_type)
    if raw is None and form is None:
        return Body("unread", content_type=kind)
    size = None if raw is None else len(raw)
    if size is not None and size > cap:
        return Body("too_large", size=size, content_type=kind)
    if not complete:
        return Body("truncated", size=size, content_type=kind)
    digest = _form_digest(form or (), files) if raw is None else hashlib.blake2b(raw, digest_size=32).digest()
    if raw == b"" and not form and not files:
        return Body("absent", size=0, content_type=kind, digest=digest)
    if content_encoding.strip().lower() not in ("", "identity"):
        return Body("encoded", size=size, content_type=kind, digest=digest)
    found, data, duplicates = _json(raw or b"")
    fields = _fields(raw, content_type, kind, form, files)
    if fields is not None and not (found and isinstance(data, (dict, list))):
        found, data, duplicates = True, None, False
    status: BodyStatus = "parsed"
    if not found:
        status = "invalid" if is_json(kind) else "unsupported_type"
    return Body(status, data, fields, tuple(files), size, kind, duplicates, digest)


def media_type(content_type: str) -> str:
    """The type alone, lower case: `application/json` of `Application/JSON; charset=utf-8`."""
    return content_type.partition(";")[0].strip().lower()


def is_json(kind: str) -> bool:
    """Whether the media type `kind` says that the content is JSON (RFC 8259, RFC 6839)."""
    return kind == "application/json" or kind.endswith("+json")


def picked(pairs: Sequence[tuple[str, str]], pick: Literal["first", "last"]) -> dict[str, str]:
    """One value for each name, the one that the framework hands to the application."""
    return dict(pairs if pick == "last" else reversed(pairs))


def repeated(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """The names that come more than once, with all values in their order."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values for name, values in found.items() if len(values) > 1}


def _json(raw: bytes) -> tuple[bool, Any, bool]:
    """Whether `raw` is JSON, what it holds, and whether a name stands twice in one of its objects."""
    duplicates = False

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal duplicates
        result = dict(pairs)
        duplicates = duplicates or len(result) < len(pairs)
        return result

    try:
        return True, json.loads(raw, object_pairs_hook=unique), duplicates
    except (ValueError, RecursionError, MemoryError):  # undecodable, nested or digits without end
        return False, None, False


def _fields(
    raw: bytes | None, content_type: str, kind: str, form: Sequence[tuple[str, str]] | None, files: Sequence[File]
) -> Pairs | None:
    """A form's fields; None where the body is no form, or has content in which no field was found."""
    if kind not in (URLENCODED, MULTIPART):
        return None
    found: Pairs = tuple(form or ())
    if form is None and kind == URLENCODED and raw is not None and _readable_charset(content_type):
        try:
            # As Starlette reads it: bytes by latin-1, escapes by UTF-8, `&` alone between the fields.
            found = tuple(parse_qsl(raw.decode("latin-1"), keep_blank_values=True))
        except ValueError:
            return None
    return found if found or files or (form is not None and not raw) else None


def _readable_charset(content_type: str) -> bool:
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower() in _CHARSETS
    return True


def _form_digest(form: Sequence[tuple[str, str]], files: Sequence[File]) -> bytes | None:
    """The same for the same fields and files, whatever the boundary; None where a file's content isn't known."""
    if any(file.sha256 is None for file in files):
        return None
    listed: list[Any] = [list(form), [msgspec.structs.astuple(file) for file in files]]
    return hashlib.blake2b(json.dumps(listed).encode(), digest_size=32).digest()


def unparsed_reason(body: Body) -> str | None:
    """Why nothing can be read from `body`, in one word; None where something can, or nothing is there."""
    if body.status == "parsed":
        return "ambiguous-payload" if body.ambiguous else None
    return _REASONS.get(body.status)


_REASONS: Mapping[str, str] = {
    "unread": UNREAD,
    "streamed": UNREAD,
    "invalid": "body-invalid",
    "unsupported_type": "unsupported-type",
    "too_large": "body-too-large",
    "encoded": "body-encoded",
    "truncated": "truncated",
}
