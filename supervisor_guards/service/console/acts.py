"""The audit log: what administrators did, newest first."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from supervisor_guards.service import acts
from supervisor_guards.service.acts import KINDS, Act
from supervisor_guards.service.console.administration import HERE, PAGE, administered, choice
from supervisor_guards.service.console.decisions import number
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.console.wording import IN_A_LIST, path, text
from supervisor_guards.service.core import Service

__all__ = ["routes"]

_PLACES = {
    "integration": "/administration/integrations",
    "person": "/administration/people",
    "webhook": "/administration/webhooks",
}
_FILTERS = ("by", "kind", "about")


async def log(visit: Visit) -> Response:
    """A page of acts: of everybody, or of one person, on one kind of thing, or on one of them."""
    service = administered(visit)
    return await visit.page("acts.html", await visit.reading(_log, service, visit))


def _log(service: Service, visit: Visit) -> dict[str, Any]:
    before = number(visit.asked, "before")
    asked = {name: visit.asked[name] for name in _FILTERS if name in visit.asked}
    kind = choice("kind", asked.get("kind"), KINDS)
    with service.store.reading() as held:
        found = acts.find(held, PAGE, before, by=asked.get("by"), kind=kind, about=asked.get("about"))
        names = acts.names(held, found)
    return {
        "here": HERE,
        "rows": [_row(one, names) for one in found],
        "asked": asked,
        "kinds": [(kind, kind.capitalize()) for kind in KINDS],
        "first": before is None,
        "newest": urlencode(asked),
        "older": urlencode({**asked, "before": found[-1].id}) if len(found) == PAGE else None,
    }


def _row(one: Act, names: dict[tuple[str, str], str]) -> dict[str, Any]:
    """What it was done to leads to its page, where it is known by another name than its id."""
    name = names.get((one.kind, one.subject))
    return {
        "time": one.time,
        "by": text(one.by, IN_A_LIST),
        "kind": text(one.kind, IN_A_LIST),
        "name": text(name or one.subject, IN_A_LIST),
        "place": None if name is None else f"{_PLACES[one.kind]}/{path(one.subject)}",
        "what": text(one.what),
    }


routes = [("/administration/acts", "GET", log)]
