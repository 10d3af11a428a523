"""People sign in and out, change their own password, and make tokens for programs of theirs."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from supervisor_guards.embedded.bundle import iso
from supervisor_guards.embedded.rows import now_us
from supervisor_guards.service import bodies, forms, sessions
from supervisor_guards.service.api.calls import administering, service_of
from supervisor_guards.service.api.people import hash_of, unfit
from supervisor_guards.service.core import Service
from supervisor_guards.service.items import token_item
from supervisor_guards.service.principals import Person, demand
from supervisor_guards.service.problems import Problem, answer
from supervisor_guards.service.same_site import check_same_site
from supervisor_guards.service.signing_in import sign_in

_HOME = "/"


class Credentials(msgspec.Struct):
    """The body of `POST /v1/session`."""

    name: str
    password: str


class OwnPassword(msgspec.Struct):
    """The body of `POST /v1/session/password`."""

    current: str
    new: str


class NewToken(msgspec.Struct):
    """The body of `POST /v1/tokens`. Without `days` the token has no end."""

    label: str
    days: float | None = None


async def begin(request: Request) -> Response:
    """Sign in: JSON is answered with the person, a page's form with the way to its field `next`."""
    service = service_of(request)
    check_same_site(request)
    limit = service.config.max_body_bytes
    form = await forms.fields(request, limit) if forms.is_form(request) else None
    if form is None:
        given = bodies.decode(await bodies.read(request, limit), Credentials)
    else:
        given = Credentials(form.get("name", ""), form.get("password", ""))
    address = service.proxies.address(request.scope)
    person, token = await sign_in(service, given.name, given.password, address)
    former = sessions.cookie(request)
    if former is not None:
        await service.reading(service.sessions.end, former)
    response = _told(service, person, token) if form is None else _to(form.get("next", _HOME))
    sessions.set_cookie(request, response, token, service.sessions.seconds)
    return response


async def current(request: Request) -> Response:
    """Who calls; with the token that requests which change something need, where a browser does."""
    _, caller = await administering(request)
    person = demand(caller, "viewer")
    token = await sessions.csrf_token_of(request) if person.via in ("session", "proxy") else None
    return answer({"person": _person(person), "csrf_token": token})


async def end(request: Request) -> Response:
    """Sign out."""
    service, caller = await administering(request)
    _by_session(caller)
    await service.reading(service.sessions.end, str(sessions.cookie(request)))
    response = _to(_HOME) if forms.is_form(request) else answer({"status": "signed out"})
    sessions.drop_cookie(request, response)
    return response


async def own_password(request: Request) -> Response:
    """Another password for who is signed in: every session of theirs ends, and this browser gets a new one."""
    service, caller = await administering(request)
    person = _by_session(caller)
    wanted = bodies.decode(await bodies.read(request, service.config.max_body_bytes), OwnPassword)
    hashed = await hash_of(service, wanted.new)
    address = service.proxies.address(request.scope)
    await sign_in(service, person.name, wanted.current, address)
    await service.reading(service.people.set_password, person.id, hashed, person.label)
    person, token = await sign_in(service, person.name, wanted.new, address)
    response = _told(service, person, token)
    sessions.set_cookie(request, response, token, service.sessions.seconds)
    return response


async def list_tokens(request: Request) -> Response:
    """The caller's tokens; those of `person_id` for an administrator."""
    service, caller = await administering(request)
    person = demand(caller, "viewer")
    whose = request.query_params.get("person_id", person.id)
    if whose != person.id:
        demand(person, "administrator")
    return answer([token_item(one) for one in await service.reading(service.tokens.list, whose)])


async def make_token(request: Request) -> Response:
    """A token for a program that acts for who is signed in, told this once."""
    service, caller = await administering(request)
    person = demand(caller, "viewer")
    if person.via not in ("session", "proxy"):
        raise Problem(403, f"a {person.via} makes no tokens: sign in to make one of your own")
    wanted = bodies.decode(await bodies.read(request, service.config.max_body_bytes), NewToken)
    try:
        made, token = await service.reading(service.tokens.create, person.id, wanted.label, person.label, wanted.days)
    except ValueError as error:
        field, _, text = str(error).partition(": ")
        raise unfit(field, text) from None
    return answer({**token_item(made), "token": token}, 201)


async def revoke_token(request: Request) -> Response:
    """End a token of one's own; anybody's for an administrator."""
    service, caller = await administering(request)
    person = demand(caller, "viewer")
    whose = None if person.at_least("administrator") else person.id
    try:
        ended = await service.reading(service.tokens.revoke, request.path_params["token_id"], person.label, whose)
    except LookupError as error:
        raise Problem(404, str(error)) from None
    return answer(token_item(ended))


def _by_session(caller: object) -> Person:
    if not isinstance(caller, Person) or caller.via != "session":
        raise Problem(401 if caller is None else 403, "this takes somebody who is signed in with a password")
    return caller


def _person(person: Person) -> dict[str, object]:
    return {"id": person.id, "name": person.name, "role": person.role, "via": person.via}


def _told(service: Service, person: Person, token: str) -> Response:
    expires = iso(now_us() + service.sessions.seconds * 1_000_000)
    return answer({"person": _person(person), "csrf_token": service.sessions.csrf_token(token), "expires_at": expires})


def _to(place: str) -> Response:
    """On to a page of this service, and of no other."""
    local = place.startswith("/") and not place.startswith("//") and place.isprintable() and "\\" not in place
    return RedirectResponse(place if local else _HOME, 303)


routes = [
    Route("/v1/session", begin, methods=["POST"]),
    Route("/v1/session", current, methods=["GET"]),
    Route("/v1/session", end, methods=["DELETE"]),
    Route("/v1/session/end", end, methods=["POST"]),
    Route("/v1/session/password", own_password, methods=["POST"]),
    Route("/v1/tokens", list_tokens, methods=["GET"]),
    Route("/v1/tokens", make_token, methods=["POST"]),
    Route("/v1/tokens/{token_id}/revoke", revoke_token, methods=["POST"]),
]
