"""The console as the service mounts it: its own record, sessions and sign-in pages."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from supervisor_guards.service.console import (
    acts,
    administration,
    deliveries,
    integrations,
    people,
    policies,
    service_door,
    webhooks,
)
from supervisor_guards.service.console.app import Console
from supervisor_guards.service.console.service_source import ServiceSource
from supervisor_guards.service.console.sources import Section

__all__ = ["service_console"]

_SECTIONS: Sequence[Section] = (
    ("policies", "/policies", "Policies", "viewer"),
    ("administration", "/administration", "Administration", "administrator"),
)


def service_console() -> Console:
    """The console over the service of the application around it, which is opened later than this is made."""

    def source_of(request: Request) -> ServiceSource:
        return ServiceSource(request.app.state.service, _SECTIONS)

    more = (
        *policies.routes, *administration.routes, *integrations.routes, *people.routes, *webhooks.routes,
        *deliveries.routes, *acts.routes,
    )  # fmt: skip
    return Console(source_of, service_door.ServiceDoor(), more, service_door.routes)
