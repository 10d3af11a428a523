"""Administrators make accounts, give them roles and passwords, and shut people out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor_guards.service import bodies
from supervisor_guards.service.api.calls import administering
from supervisor_guards.service.core import Service
from supervisor_guards.service.items import person_item
from supervisor_guards.service.people import LastAdministrator, PersonTaken, StoredPerson
from supervisor_guards.service.principals import Person, demand
from supervisor_guards.service.problems import Problem, answer


class NewPerson(msgspec.Struct):
    """The body of `POST /v1/people`. Without a password they come through a trusted proxy, or by token."""

    name: str
    role: str = "viewer"
    password: str | None = None
    known_as: list[str] = msgspec.field(default_factory=list)


class Change(msgspec.Struct):
    """The body of `PATCH /v1/people/{person_id}`: what is left out stays."""

    role: str | None = None
    known_as: list[str] | None = None


class NewPassword(msgspec.Struct):
    """The body of `POST /v1/people/{person_id}/password`; null takes the password away."""

    password: str | None


async def create(request: Request) -> Response:
    """A new account."""
    service, administrator = await _administrator(request)
    wanted = bodies.decode(await bodies.read(request, service.config.max_body_bytes), NewPerson)
    hashed = await hash_of(service, wanted.password)
    made = await _done(
        service,
        service.people.create,
        wanted.name,
        wanted.role,
        administrator.label,
        password=hashed,
        known_as=wanted.known_as,
    )
    return answer(person_item(made), 201)


async def list_all(request: Request) -> Response:
    """Everybody, disabled ones too, oldest first."""
    service, _ = await _administrator(request)
    return answer([person_item(one) for one in await service.reading(service.people.list)])


async def one_person(request: Request) -> Response:
    """One account."""
    service, _ = await _administrator(request)
    return answer(person_item(await _done(service, service.people.get, request.path_params["person_id"])))


async def change(request: Request) -> Response:
    """Another role, other names in applications."""
    service, administrator = await _administrator(request)
    wanted = bodies.decode(await bodies.read(request, service.config.max_body_bytes), Change)
    changed = await _done(
        service,
        service.people.change,
        request.path_params["person_id"],
        administrator.label,
        role=wanted.role,
        known_as=wanted.known_as,
    )
    return answer(person_item(changed))


async def password(request: Request) -> Response:
    """Another password, or none; the sessions of the person end."""
    service, administrator = await _administrator(request)
    wanted = bodies.decode(await bodies.read(request, service.config.max_body_bytes), NewPassword)
    hashed = await hash_of(service, wanted.password)
    person_id = request.path_params["person_id"]
    return answer(
        person_item(await _done(service, service.people.set_password, person_id, hashed, administrator.label))
    )


async def disable(request: Request) -> Response:
    """Shut somebody out: their sessions end, their tokens are revoked."""
    service, administrator = await _administrator(request)
    person_id = request.path_params["person_id"]
    return answer(person_item(await _done(service, service.people.disable, person_id, administrator.label)))


async def enable(request: Request) -> Response:
    """Let somebody in again."""
    service, administrator = await _administrator(request)
    person_id = request.path_params["person_id"]
    return answer(person_item(await _done(service, service.people.enable, person_id, administrator.label)))


async def hash_of(service: Service, password: str | None) -> str | None:
    """What is stored of a password. Raises `Problem` 422 for one that can't be."""
    if password is None:
        return None
    try:
        return await service.passwords.working(service.passwords.hash, password)
    except ValueError as error:
        raise unfit("password", str(error)) from None


def unfit(field: str, text: str) -> Problem:
    """What refuses a field of the body."""
    return Problem(422, [{"loc": ["body", field], "msg": text, "type": "value_error"}])


async def _done(service: Service, call: Callable[..., StoredPerson], *args: Any, **kwargs: Any) -> StoredPerson:
    try:
        return await service.reading(call, *args, **kwargs)
    except LookupError as error:
        raise Problem(404, str(error)) from None
    except (PersonTaken, LastAdministrator) as error:
        raise Problem(409, str(error)) from None
    except ValueError as error:
        field, _, text = str(error).partition(": ")
        raise unfit(field, text) from None


async def _administrator(request: Request) -> tuple[Service, Person]:
    service, caller = await administering(request)
    return service, demand(caller, "administrator")


routes = [
    Route("/v1/people", create, methods=["POST"]),
    Route("/v1/people", list_all, methods=["GET"]),
    Route("/v1/people/{person_id}", one_person, methods=["GET"]),
    Route("/v1/people/{person_id}", change, methods=["PATCH"]),
    Route("/v1/people/{person_id}/password", password, methods=["POST"]),
    Route("/v1/people/{person_id}/disable", disable, methods=["POST"]),
    Route("/v1/people/{person_id}/enable", enable, methods=["POST"]),
]
