"""A Django project with a guard of its own, and a client that speaks to its WSGI or ASGI handler."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.integrations import contract
from tests.integrations.django_project import start
from tests.integrations.in_process import Site, asgi, sender, wsgi

start()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.test import AsyncClient, Client, override_settings  # noqa: E402

from supervisor_guards_django import conf  # noqa: E402
from tests.integrations.django_project import views  # noqa: E402

INSIDE = "rest framework inside the view"
STACKS = {
    "wsgi": ("wsgi", "tests.integrations.django_project.urls"),
    "asgi": ("asgi", "tests.integrations.django_project.async_urls"),
    "asgi with views in threads": ("asgi", "tests.integrations.django_project.urls"),
    "rest framework": ("wsgi", "tests.integrations.django_project.rest_urls"),
    INSIDE: ("wsgi", "tests.integrations.django_project.rest_guarded_urls"),
}
"""The handler and the URLconf. Under ASGI everything around async views is async too."""


REST_OWN = {
    **dict.fromkeys(
        (
            "JSON as text",
            "JSON without a type",
            "JSON of an API",
            "JSON in UTF-16",
            "JSON after a byte order mark",
            "broken JSON",
            "compressed",
            "neither JSON nor a form",
            "not a number",
            "JSON under a type with a wrong charset",
            "JSON under a type of nonsense",
            "JSON under a type of two",
            "JSON under a problem's type",
            "an amount infinite",
            "an amount minus infinity",
            "JSON with garbage after it",
            "JSON with two documents",
            "JSON with a comment",
            "JSON with single quotes",
            "JSON with a comma at the end",
            "JSON with bytes that are no UTF-8",
            "JSON with white space alone",
            "JSON with a number with a leading zero",
            "JSON in UTF-32",
            "JSON in UTF-16 without a mark",
            "JSON that says it is a form",
            "JSON with a form inside",
            "deflated",
            "compressed twice",
            "too large and compressed",
            "a whole body of another kind",
        ),
        "the framework's own parsers come first: what they refuse is never judged, and what they read is",
    ),
    "HEAD runs what GET guards": "the framework leaves it to the server to drop the body",
}
"""What Django REST framework answers otherwise, and why."""


def written(route: str) -> str:
    """A rule's route as this project's URLconf writes it."""
    return route.replace("{number:int}", "<int:number>").replace("{", "<str:").replace("}", ">")


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


class DjangoHarness(Site):
    """The contract's routes behind one handler."""

    def __init__(self, guard: Any, handler: str, own: Mapping[str, str] | None = None) -> None:
        # Made here, so that it has the middleware of these settings.
        speak = functools.partial(wsgi, WSGIHandler()) if handler == "wsgi" else functools.partial(asgi, ASGIHandler())
        super().__init__(guard, views.RAN, speak, label=written, own=own)


@contextlib.contextmanager
def harness(stack: str, folder: Path, mode: str) -> Iterator[Site]:
    """The contract's application on the `stack`, one of `STACKS`."""
    handler, urls = STACKS[stack]
    inside = stack == INSIDE
    changes: dict[str, Any] = {"RULES": []} if inside else {}
    with guarded(folder, mode, root_urlconf=urls, USER_RESOLVER=_sender, **changes) as guard:
        yield DjangoHarness(guard, handler, REST_OWN if stack in (INSIDE, "rest framework") else {})


def _sender(request: Any) -> Any:
    return sender(request.headers)
