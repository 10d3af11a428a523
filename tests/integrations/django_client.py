"""A Django project with a guard of its own, and a client that speaks to its WSGI or ASGI handler."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.integrations import contract
from tests.integrations.django_project import start

start()

from django.test import AsyncClient, Client, override_settings  # noqa: E402

from supervisor_guards_django import conf  # noqa: E402
from tests.integrations.django_project import views  # noqa: E402

STACKS = {
    "wsgi": ("wsgi", "tests.integrations.django_project.urls"),
    "asgi": ("asgi", "tests.integrations.django_project.async_urls"),
    "asgi with views in threads": ("asgi", "tests.integrations.django_project.urls"),
    "rest framework": ("wsgi", "tests.integrations.django_project.rest_urls"),
}
"""The handler and the URLconf. Under ASGI everything around async views is async too."""


def written(route: str) -> str:
    """A rule's route as this project's URLconf writes it."""
    return route.replace("{", "<str:").replace("}", ">")


def guards(folder: Path, mode: str, policy: str = contract.POLICY, **changes: Any) -> dict[str, Any]:
    """A `SUPERVISOR_GUARDS` whose parts are all in `folder`, with the contract's rules."""
    (folder / "supervisor.yaml").write_text(policy)
    return {
        "MODE": mode,
        "POLICY": str(folder / "supervisor.yaml"),
        "STATE_DIR": str(folder / ".supervisor"),
        "RULES": [{**rule, "route": written(rule["route"])} for rule in contract.RULES],
        **changes,
    }


@contextlib.contextmanager
def guarded(folder: Path, mode: str = "enforce", policy: str = contract.POLICY, **changes: Any) -> Iterator[Any]:
    """The guard that these settings make; upper-case `changes` are keys of `SUPERVISOR_GUARDS`, others settings."""
    others = {name.upper(): changes.pop(name) for name in list(changes) if name.islower()}
    with override_settings(SUPERVISOR_GUARDS=guards(folder, mode, policy, **changes), **others):
        views.RAN.clear()
        try:
            yield conf.guard()
        finally:
            conf.withdraw()


def send(handler: str, method: str, path: str, body: bytes = b"", cookies: Any = None, **options: Any) -> Any:
    """The response of the `handler`, "wsgi" or "asgi". Errors of views become answers."""
    headers = {name.lower(): value for name, value in dict(options.pop("headers", {})).items()}
    kind = headers.pop("content-type", "")
    client: Any = (Client if handler == "wsgi" else AsyncClient)(raise_request_exception=False, **options)
    if cookies is not None:
        client.cookies = cookies
    answer = client.generic(method, path, body, content_type=kind, headers=headers)
    if handler == "wsgi":
        return answer

    async def awaited() -> Any:
        return await answer

    return asyncio.run(awaited())


class DjangoHarness:
    """The contract's routes behind one handler."""

    def __init__(self, guard: Any, handler: str) -> None:
        self.guard = guard
        self.ran = views.RAN
        self._handler = handler

    def send(self, case: contract.Case) -> contract.Answer:
        answer = send(self._handler, case.method, case.path, case.body, headers=dict(case.headers))
        return contract.Answer(
            answer.status_code, {name.lower(): value for name, value in answer.items()}, answer.content
        )

    def label(self, route: str) -> str:
        return written(route)
