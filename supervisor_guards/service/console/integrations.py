"""Applications that may ask: made, changed, given another secret, ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from supervisor_guards.service.console.administration import (
    HERE,
    Step,
    administered,
    ahead,
    another_secret,
    confirming,
    lines,
    page_of,
    said_of,
    sentence,
    told_once,
    wanting,
)
from supervisor_guards.service.console.showing import facts
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.console.wording import IN_A_LIST, many, mark, path, span, text
from supervisor_guards.service.core import Service
from supervisor_guards.service.integrations import NameTaken, StoredIntegration, Unfit
from supervisor_guards.service.principals import ANY_SCOPE
from supervisor_guards.service.problems import Problem
from supervisor_guards.service.vault import Rotated, edition

__all__ = ["routes"]

_HOME = "/administration/integrations"
_DONE = {"changed": "It is changed, in every process, from now on.", "revoked": "It is revoked."}
_NEW = {"name": "", "scopes": ANY_SCOPE, "per_minute": "", "resolves_own": ""}


async def listed(visit: Visit) -> Response:
    """All of them, and the form for a new one."""
    return await _list(visit, _NEW, {})


async def create(visit: Visit) -> Response:
    """A new one; its secret is told this once."""
    service, form = administered(visit), await visit.form()
    try:
        made, secret = await visit.reading(
            service.integrations.create, form.get("name", "").strip(), by=visit.visitor.name, **_wanted(form)
        )
    except NameTaken as error:
        return await _list(visit, form, {"name": sentence(error)}, 409)
    except Unfit as error:
        return await _list(visit, form, wanting(error), 422)
    return await _secret(visit, made, secret, f"{text(made.name, IN_A_LIST)} may ask from now on")


async def one(visit: Visit) -> Response:
    """One of them, and what can be done about it."""
    found = await _found(visit)
    return await _page(visit, found, _given(found), {})


async def change(visit: Visit) -> Response:
    """Other scopes, another limit, or whether it may decide its own reviews."""
    service, found, form = administered(visit), await _found(visit), await visit.form()
    now = found.principal
    known = {"scopes": list(now.scopes), "resolves_own": now.resolves_own, "per_minute": now.per_minute}
    values = {name: value for name, value in _wanted(form).items() if value != known[name]}
    try:
        await visit.reading(service.integrations.change, found.id, visit.visitor.name, values)
    except Unfit as error:
        return await _page(visit, found, form, wanting(error), 422)
    except LookupError:
        raise _ended(found) from None
    service.access.forget()
    return visit.to(f"{_HOME}/{path(found.id)}?done=changed")


async def rotate(visit: Visit) -> Response:
    """Another secret, told this once, after a tick. The former one stays good for the overlap."""
    service, found, form = administered(visit), await _found(visit), await visit.form()
    _check_active(found)
    overlap = span(int(service.config.secret_overlap_seconds * 1_000_000))
    says = (
        f"The present secret stays good for {overlap}: give the application the new one within that time.",
        "One that was rotated out before is refused from now on.",
    )
    title, seen = f"A new secret for {text(found.name, IN_A_LIST)}?", form.get("seen", edition(found.secret))
    step = another_secret(title, says, "application", f"{_HOME}/{path(found.id)}", seen)
    asking = await confirming(visit, step)
    if asking is not None:
        return asking
    try:
        changed, secret = await visit.reading(
            service.integrations.rotate, found.id, visit.visitor.name, form.get("seen", "")
        )
    except Rotated as error:
        return await _page(visit, found, _given(found), {"": sentence(error)}, 409)
    except LookupError:
        raise _ended(found) from None
    service.access.forget()
    return await _secret(visit, changed, secret, f"The new secret of {text(changed.name, IN_A_LIST)}")


async def revoke(visit: Visit) -> Response:
    """End one, after a tick."""
    service, found = administered(visit), await _found(visit)
    _check_active(found)
    step = Step(
        f"Revoke {text(found.name, IN_A_LIST)}?",
        (
            "Whatever it asks is refused from now on, in every process; its actions then do what its settings say.",
            "It can't be taken back. Its decisions and reviews stay, and its name stays taken.",
        ),
        "Nothing that must go on depends on it.",
        "Revoke it",
        f"{_HOME}/{path(found.id)}/revoke",
        f"{_HOME}/{path(found.id)}",
    )
    asking = await confirming(visit, step)
    if asking is not None:
        return asking
    try:
        await visit.reading(service.integrations.revoke, found.id, visit.visitor.name)
    except LookupError:
        raise _ended(found) from None
    service.access.forget()
    return visit.to(f"{_HOME}/{path(found.id)}?done=revoked")


async def _list(visit: Visit, given: Mapping[str, str], faults: Mapping[str, str], status: int = 200) -> Response:
    service = administered(visit)
    rows, more = page_of(await visit.reading(service.integrations.list), visit.asked)
    values = {"here": HERE, "rows": [_row(one) for one in rows], "more": more, "given": given, "faults": faults}
    return await visit.page("integrations.html", values, status)


async def _page(
    visit: Visit,
    found: StoredIntegration,
    given: Mapping[str, str],
    faults: Mapping[str, str],
    status: int = 200,
) -> Response:
    service = administered(visit)
    values = {
        "here": HERE,
        "row": _row(found),
        "facts": _facts(service, found),
        "active": found.revoked_at is None,
        "edition": edition(found.secret),
        "given": given,
        "faults": faults,
        "done": said_of(_DONE, visit.asked),
    }
    return await visit.page("integration.html", values, status)


async def _found(visit: Visit) -> StoredIntegration:
    service = administered(visit)
    try:
        return await visit.reading(service.integrations.get, visit.request.path_params["integration_id"])
    except LookupError as error:
        raise Problem(404, f"{error}: the list shows those that there are") from None


async def _secret(visit: Visit, made: StoredIntegration, secret: str, title: str) -> Response:
    says = (
        "Set this in the application's environment. The secret is shown this once: no page shows it again.",
        "Add SUPERVISOR_BASE_URL, the address at which the application reaches this service.",
    )
    copied = f"SUPERVISOR_APP_ID={made.id}\nSUPERVISOR_SECRET={secret}"
    return await told_once(visit, title, says, copied, f"{_HOME}/{path(made.id)}")


def _check_active(found: StoredIntegration) -> None:
    if found.revoked_at is not None:
        raise _ended(found)


def _ended(found: StoredIntegration) -> Problem:
    return Problem(409, f"{found.name!r} is revoked: nothing about it can be changed; make another integration")


def _wanted(form: Mapping[str, str]) -> dict[str, Any]:
    """What the form asks for. A limit that is no number is passed on as one that can't be: it is refused in words."""
    limit = form.get("per_minute", "").strip()
    number = int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 19 else -1
    return {
        "scopes": lines(form.get("scopes", "")),
        "resolves_own": form.get("resolves_own") == "yes",
        "per_minute": number if limit else None,
    }


def _given(found: StoredIntegration) -> dict[str, str]:
    """What the form begins with."""
    now = found.principal
    return {
        "scopes": "\n".join(now.scopes),
        "resolves_own": "yes" if now.resolves_own else "",
        "per_minute": "" if now.per_minute is None else str(now.per_minute),
    }


def _row(found: StoredIntegration) -> dict[str, Any]:
    scopes = json.loads(found.scopes)
    return {
        "id": found.id,
        "name": text(found.name, IN_A_LIST),
        "mark": mark("active" if found.revoked_at is None else "revoked"),
        "scopes": "everything" if ANY_SCOPE in scopes else text(", ".join(scopes), IN_A_LIST),
        "created_at": found.created_at,
        "created_by": text(found.created_by, IN_A_LIST),
    }


def _facts(service: Service, found: StoredIntegration) -> list[tuple[str, Any]]:
    limit = service.config.per_minute if found.per_minute is None else found.per_minute
    return facts(
        ("Id", found.id),
        ("Made", found.created_at),
        ("By", text(found.created_by, IN_A_LIST)),
        ("Limit", many(limit, "action") + " a minute" if limit else "None"),
        ("Former secret good until", ahead(found.former_until)),
        ("Revoked", found.revoked_at),
    )


routes = [
    (_HOME, "GET", listed),
    (_HOME, "POST", create),
    (f"{_HOME}/{{integration_id}}", "GET", one),
    (f"{_HOME}/{{integration_id}}", "POST", change),
    (f"{_HOME}/{{integration_id}}/rotate", "POST", rotate),
    (f"{_HOME}/{{integration_id}}/revoke", "POST", revoke),
]
