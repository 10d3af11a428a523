"""Administrators make integrations, rotate their secrets, and end them."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor_guards.service import bodies
from supervisor_guards.service.api.calls import administering
from supervisor_guards.service.core import Service
from supervisor_guards.service.integrations import NameTaken, Unfit
from supervisor_guards.service.items import integration_item
from supervisor_guards.service.principals import ANY_SCOPE, Person, demand
from supervisor_guards.service.problems import Problem, answer


class Wanted(msgspec.Struct):
    """The body of `POST /v1/integrations`."""

    name: str
    scopes: list[str] = msgspec.field(default_factory=lambda: [ANY_SCOPE])
    resolves_own: bool = False
    per_minute: int | None = None


class Change(msgspec.Struct):
    """The body of `PATCH /v1/integrations/{integration_id}`: what is left out stays."""

    scopes: list[str] | msgspec.UnsetType = msgspec.UNSET
    resolves_own: bool | msgspec.UnsetType = msgspec.UNSET
    per_minute: int | msgspec.UnsetType | None = msgspec.UNSET


async def create(request: Request) -> Response:
    """A new integration; its secret is told this once."""
    service, person = await _administrator(request)
    wanted = bodies.decode(await bodies.read(request, service.config.max_body_bytes), Wanted)
    try:
        made, secret = await service.reading(
            service.integrations.create,
            wanted.name,
            wanted.scopes,
            person.label,
            resolves_own=wanted.resolves_own,
            per_minute=wanted.per_minute,
        )
    except NameTaken as error:
        raise Problem(409, str(error)) from None
    except Unfit as error:
        raise _unfit(error) from None
    return answer(integration_item(made, secret), 201)


async def change(request: Request) -> Response:
    """Other scopes, another limit, or whether it may decide its own reviews. Effective at once, in every process."""
    service, person = await _administrator(request)
    wanted = bodies.decode(await bodies.read(request, service.config.max_body_bytes), Change)
    values = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not msgspec.UNSET}
    try:
        changed = await service.reading(
            service.integrations.change, request.path_params["integration_id"], person.label, values
        )
    except LookupError as error:
        raise Problem(404, str(error)) from None
    except Unfit as error:
        raise _unfit(error) from None
    service.access.forget()
    return answer(integration_item(changed))


async def list_all(request: Request) -> Response:
    """All integrations, revoked ones too."""
    service, _ = await _administrator(request)
    return answer([integration_item(one) for one in await service.reading(service.integrations.list)])


async def rotate(request: Request) -> Response:
    """A new secret, told this once; the former one stays good for the overlap."""
    service, person = await _administrator(request)
    try:
        changed, secret = await service.reading(
            service.integrations.rotate, request.path_params["integration_id"], person.label
        )
    except LookupError as error:
        raise Problem(404, str(error)) from None
    service.access.forget()
    return answer(integration_item(changed, secret))


async def revoke(request: Request) -> Response:
    """End an integration."""
    service, person = await _administrator(request)
    try:
        ended = await service.reading(service.integrations.revoke, request.path_params["integration_id"], person.label)
    except LookupError as error:
        raise Problem(404, str(error)) from None
    service.access.forget()
    return answer(integration_item(ended))


def _unfit(error: Unfit) -> Problem:
    faults = error.problems.items()
    return Problem(422, [{"loc": ["body", name], "msg": f"give {fit}", "type": "value_error"} for name, fit in faults])


async def _administrator(request: Request) -> tuple[Service, Person]:
    service, person = await administering(request)
    return service, demand(person, "administrator")


routes = [
    Route("/v1/integrations", create, methods=["POST"]),
    Route("/v1/integrations", list_all, methods=["GET"]),
    Route("/v1/integrations/{integration_id}", change, methods=["PATCH"]),
    Route("/v1/integrations/{integration_id}/rotate-secret", rotate, methods=["POST"]),
    Route("/v1/integrations/{integration_id}/revoke", revoke, methods=["POST"]),
]
