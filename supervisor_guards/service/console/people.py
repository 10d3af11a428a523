"""People with accounts: made, given roles and passwords, shut out and let in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from supervisor_guards.service.console.administration import (
    HERE,
    Step,
    administered,
    confirming,
    lines,
    page_of,
    said_of,
    sentence,
)
from supervisor_guards.service.console.showing import facts
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.console.wording import IN_A_LIST, mark, path, text
from supervisor_guards.service.core import Service
from supervisor_guards.service.passwords import LONGEST, SHORTEST
from supervisor_guards.service.people import LastAdministrator, PersonTaken, StoredPerson
from supervisor_guards.service.principals import ROLES
from supervisor_guards.service.problems import Problem

__all__ = ["routes"]

_HOME = "/administration/people"
_DONE = {
    "created": "The account is made.",
    "changed": "It is changed, in every process, from now on.",
    "password": "The password is set, and the sessions of this person are over.",
    "removed": "The password is removed, and the sessions of this person are over.",
    "disabled": "The account is disabled: sessions are over, tokens are revoked.",
    "enabled": "The account is enabled. Tokens stay revoked.",
}
_NEW = {"name": "", "role": "viewer", "known_as": ""}


async def listed(visit: Visit) -> Response:
    """Everybody, and the form for a new account."""
    return await _list(visit, _NEW, {})


async def create(visit: Visit) -> Response:
    """A new account. Without a password they come through a trusted proxy, or by token."""
    service, form = administered(visit), await visit.form()
    password = form.get("password", "")
    try:
        hashed = await _hashed(service, password) if password else None
    except ValueError as error:
        return await _list(visit, form, {"password": sentence(error)}, 422)
    try:
        made = await visit.reading(
            service.people.create,
            form.get("name", "").strip(),
            form.get("role", ""),
            visit.visitor.name,
            password=hashed,
            known_as=lines(form.get("known_as", "")),
        )
    except PersonTaken as error:
        return await _list(visit, form, {"name": sentence(error)}, 409)
    except ValueError as error:
        return await _list(visit, form, _fault(error), 422)
    return visit.to(f"{_HOME}/{path(made.id)}?done=created")


async def one(visit: Visit) -> Response:
    """An account, and what can be done about it."""
    found = await _found(visit)
    return await _page(visit, found, _given(found), {})


async def change(visit: Visit) -> Response:
    """Another role, other names in applications."""
    service, found, form = administered(visit), await _found(visit), await visit.form()
    names = lines(form.get("known_as", ""))
    try:
        await visit.reading(
            service.people.change, found.id, visit.visitor.name, role=form.get("role", ""), known_as=names
        )
    except LastAdministrator as error:
        return await _page(visit, found, form, {"role": sentence(error)}, 409)
    except ValueError as error:
        return await _page(visit, found, form, _fault(error), 422)
    return visit.to(f"{_HOME}/{path(found.id)}?done=changed")


async def set_password(visit: Visit) -> Response:
    """Another password."""
    service, found, form = administered(visit), await _found(visit), await visit.form()
    try:
        hashed = await _hashed(service, form.get("password", ""))
    except ValueError as error:
        return await _page(visit, found, _given(found), {"password": sentence(error)}, 422)
    await visit.reading(service.people.set_password, found.id, hashed, visit.visitor.name)
    return visit.to(f"{_HOME}/{path(found.id)}?done=password")


async def remove_password(visit: Visit) -> Response:
    """No password any more, after a tick."""
    service, found = administered(visit), await _found(visit)
    says = (
        "They can't sign in with a password any more: only through a trusted proxy, or by a token of theirs.",
        "Their sessions end now.",
    )
    step = Step(
        f"Remove the password of {text(found.name, IN_A_LIST)}?",
        says,
        "They have another way in, or shall have none.",
        "Remove the password",
        f"{_HOME}/{path(found.id)}/remove-password",
        f"{_HOME}/{path(found.id)}",
    )
    asking = await confirming(visit, step)
    if asking is not None:
        return asking
    await visit.reading(service.people.set_password, found.id, None, visit.visitor.name)
    return visit.to(f"{_HOME}/{path(found.id)}?done=removed")


async def disable(visit: Visit) -> Response:
    """Shut somebody out, after a tick."""
    service, found = administered(visit), await _found(visit)
    says = (
        "Their sessions end and their tokens are revoked now, in every process. Programs that act for them stop.",
        "You can enable the account again; its tokens stay revoked.",
    )
    step = Step(
        f"Disable {text(found.name, IN_A_LIST)}?",
        says,
        "They shall have no access.",
        "Disable the account",
        f"{_HOME}/{path(found.id)}/disable",
        f"{_HOME}/{path(found.id)}",
    )
    asking = await confirming(visit, step)
    if asking is not None:
        return asking
    try:
        await visit.reading(service.people.disable, found.id, visit.visitor.name)
    except LastAdministrator as error:
        return await _page(visit, found, _given(found), {"": sentence(error)}, 409)
    return visit.to(f"{_HOME}/{path(found.id)}?done=disabled")


async def enable(visit: Visit) -> Response:
    """Let somebody in again."""
    service, found = administered(visit), await _found(visit)
    await visit.reading(service.people.enable, found.id, visit.visitor.name)
    return visit.to(f"{_HOME}/{path(found.id)}?done=enabled")


async def _list(visit: Visit, given: Mapping[str, str], faults: Mapping[str, str], status: int = 200) -> Response:
    service = administered(visit)
    rows, more = page_of(await visit.reading(service.people.list), visit.asked)
    values = {
        **_choices(),
        "rows": [_row(one) for one in rows],
        "more": more,
        "given": given,
        "faults": faults,
        "proxied": service.proxies.names_people,
    }
    return await visit.page("people.html", values, status)


async def _page(
    visit: Visit, found: StoredPerson, given: Mapping[str, str], faults: Mapping[str, str], status: int = 200
) -> Response:
    values = {
        **_choices(),
        "row": _row(found),
        "facts": _facts(found),
        "has_password": found.password is not None,
        "active": found.disabled_at is None,
        "given": given,
        "faults": faults,
        "done": said_of(_DONE, visit.asked),
    }
    return await visit.page("person.html", values, status)


async def _found(visit: Visit) -> StoredPerson:
    service = administered(visit)
    try:
        return await visit.reading(service.people.get, visit.request.path_params["person_id"])
    except LookupError as error:
        raise Problem(404, f"{error}: the list shows everybody") from None


async def _hashed(service: Service, password: str) -> str:
    return await service.passwords.working(service.passwords.hash, password)


def _choices() -> dict[str, Any]:
    return {"here": HERE, "roles": ROLES, "shortest": SHORTEST, "longest": LONGEST}


def _fault(error: ValueError) -> dict[str, str]:
    """The field that an error of `people` is about, and what it says of it."""
    field, _, said = str(error).partition(": ")
    return {field: sentence(said)}


def _given(found: StoredPerson) -> dict[str, str]:
    """What the form begins with."""
    return {"role": found.role, "known_as": "\n".join(json.loads(found.known_as))}


def _row(found: StoredPerson) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": text(found.name, IN_A_LIST),
        "label": found.name,
        "role": found.role,
        "mark": mark("active" if found.disabled_at is None else "disabled"),
        "way_in": "password" if found.password is not None else "proxy or token",
        "created_at": found.created_at,
        "created_by": text(found.created_by, IN_A_LIST),
    }


def _facts(found: StoredPerson) -> list[tuple[str, Any]]:
    return facts(
        ("Id", found.id),
        ("Made", found.created_at),
        ("By", text(found.created_by, IN_A_LIST)),
        ("Signs in by", "password" if found.password is not None else "a trusted proxy, or a token"),
        ("Disabled", found.disabled_at),
    )


routes = [
    (_HOME, "GET", listed),
    (_HOME, "POST", create),
    (f"{_HOME}/{{person_id}}", "GET", one),
    (f"{_HOME}/{{person_id}}", "POST", change),
    (f"{_HOME}/{{person_id}}/password", "POST", set_password),
    (f"{_HOME}/{{person_id}}/remove-password", "POST", remove_password),
    (f"{_HOME}/{{person_id}}/disable", "POST", disable),
    (f"{_HOME}/{{person_id}}/enable", "POST", enable),
]
