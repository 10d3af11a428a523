"""What endpoints ask of a request: the service, who calls, and its parameters."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request

from supervisor_guards.service.core import Service
from supervisor_guards.service.principals import Integration, Person, Principal
from supervisor_guards.service.problems import Problem

_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def service_of(request: Request) -> Service:
    """The service that answers. Raises `Problem` 400 for an address with a NUL, which no database takes as a text."""
    if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        raise Problem(400, "the address holds a NUL character (%00): no id has one, leave it out")
    service: Service = request.app.state.service
    return service


async def calling(request: Request) -> tuple[Service, Integration]:
    """The service, and the integration that calls. Raises `Problem` 401."""
    service = service_of(request)
    header = request.headers.get("authorization")
    known = service.access.remembered(header)
    if known is None:
        known = await service.reading(service.access.integration, header)
    return service, known


async def administering(request: Request) -> tuple[Service, Person | None]:
    """The service, and the person whose administrator's token was sent; None without one. Raises `Problem` 401."""
    service = service_of(request)
    token = request.headers.get("x-admin-token")
    return service, await service.reading(service.access.administrator, token) if token is not None else None


async def anybody(request: Request) -> tuple[Service, Principal]:
    """The service, and who calls: a person by token, else an integration. Raises `Problem` 401."""
    service, person = await administering(request)
    if person is not None:
        return service, person
    return await calling(request)


def flag(request: Request, name: str, default: bool = False) -> bool:
    """A parameter that is `true` or `false`. Raises `Problem` 422 for another value."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.lower() not in _FLAGS:
        raise _bad(name, f"{text[:40]!r}: choose true or false")
    return _FLAGS[text.lower()]


def number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A whole number from `least` to `most`. Raises `Problem` 422 for another value."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19 and least <= int(text) <= most):
        raise _bad(name, f"{text[:40]!r}: give a whole number from {least} to {most}")
    return int(text)


def choice(request: Request, name: str, choices: tuple[str, ...]) -> str | None:
    """One of `choices`; None where it wasn't given. Raises `Problem` 422 for another value."""
    text = request.query_params.get(name)
    if text is not None and text not in choices:
        raise _bad(name, f"{text[:40]!r}: choose one of {', '.join(choices)}")
    return text


def next_page(request: Request, before: object) -> dict[str, str]:
    """The `Link` header (RFC 8288) of the page after this one, which ends with `before`: the same request otherwise."""
    query = urlencode({**request.query_params, "before": str(before)})
    return {"Link": f'<{request.scope["path"]}?{query}>; rel="next"'}


def _bad(name: str, message: str) -> Problem:
    return Problem(422, [{"loc": ["query", name], "msg": message, "type": "value_error"}])
