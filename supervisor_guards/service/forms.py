"""What a page's form sends: read once, bounded."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from supervisor_guards.service import bodies
from supervisor_guards.service.problems import Problem

__all__ = ["fields", "is_form"]

_KIND = "application/x-www-form-urlencoded"
_PLACE = "supervisor_form"
_MOST = 200
"""Fields of one form."""


def is_form(request: Request) -> bool:
    """Whether the body is a form's."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == _KIND


async def fields(request: Request, limit: int) -> dict[str, str]:
    """The form's fields; none where the body is something else, which is left unread.

    Raises `Problem`: 413 above `limit` bytes, 400 for what is no form, and for a name that stands twice.
    """
    if not is_form(request):
        return {}
    if _PLACE not in request.scope:
        raw = await bodies.read(request, limit)
        try:
            pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=_MOST, errors="strict")
        except ValueError:
            raise Problem(400, f"the body is no form of at most {_MOST} fields in UTF-8") from None
        found = dict(pairs)
        if len(found) < len(pairs):
            raise Problem(400, "a field stands twice in the form: send each once")
        request.scope[_PLACE] = found
    known: dict[str, str] = request.scope[_PLACE]
    return known
