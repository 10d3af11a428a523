"""What endpoints ask of a request: the service, who calls, and its parameters."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request

from supervisor_guards.service import sessions
from supervisor_guards.service.core import Service
from supervisor_guards.service.principals import CALLER, Integration, Principal
from supervisor_guards.service.problems import Problem
from supervisor_guards.service.tokens import PREFIX

_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def service_of(request: Request) -> Service:
    """The service that answers. Raises `Problem` 400 for an address with a NUL, which no database takes as a text."""
    if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        raise Problem(400, "the address holds a NUL character (%00): no id has one, leave it out")
    service: Service = request.app.state.service
    return service


async def calling(request: Request) -> tuple[Service, Integration]:
    """The service, and the integration that calls. Only a bearer token counts here.

    Raises `Problem`: 401 without one, 403 for one of a person.
    """
    service = service_of(request)
    header = request.headers.get("authorization")
    known = service.access.remembered(header)
    if known is None:
        if header is not None and _is_persons(header):
            _, person = await administering(request)
            assert person is not None  # whose token it is; one that is nobody's is refused
            raise Problem(403, f"{person.label!r} is a person: an integration's own token does this")
        known = await service.reading(service.access.integration, header)
    request.scope[CALLER] = known
    return service, known


async def administering(request: Request) -> tuple[Service, Principal | None]:
    """The service, and who calls; None for nobody. `demand` tells whether it may.

    Raises `Problem`: 401 for what nobody has, 400 where a request has more than one of: the administrator's token, a
    bearer token, and a session or a proxy's word. Which one counts would be a guess.
    """
    service = service_of(request)
    caller = await _recognised(request, service)
    if caller is not None:
        request.scope[CALLER] = caller
    return service, caller


async def _recognised(request: Request, service: Service) -> Principal | None:
    admin = request.headers.getlist("x-admin-token")
    bearer = [one for one in request.headers.getlist("authorization") if one[:6].lower() == "bearer"]
    browser = sessions.ambient(request)
    if len(admin) + len(bearer) + browser > 1:
        raise Problem(400, "more than one of X-Admin-Token, Authorization and a session was sent: send one of them")
    if admin:
        return await service.reading(service.access.administrator, admin[0])
    if bearer and _is_persons(bearer[0]):
        person = await service.reading(service.tokens.holder, bearer[0][7:].strip())
        if person is None:
            raise Problem(401, "token not found, expired or revoked", {"WWW-Authenticate": "Bearer"})
        return person
    if bearer:
        known = service.access.remembered(bearer[0])
        return known or await service.reading(service.access.integration, bearer[0])
    return await sessions.principal_of(request)


async def anybody(request: Request) -> tuple[Service, Principal]:
    """The service, and who calls: an integration, or a person by token, session or proxy. Raises `Problem` 401."""
    service, caller = await administering(request)
    if caller is None:
        caller = service.access.integration(request.headers.get("authorization"))  # raises: there is no such token
    return service, caller


def _is_persons(authorization: str) -> bool:
    """Whether the header has a token that a person made for a program."""
    return authorization[7:].lstrip().startswith(f"{PREFIX}_")


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
