"""Under an ASGI server the guard lives as long as the server says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.django_client import guarded, send

from django.test import override_settings  # isort: skip

from supervisor_guards import get_guard
from supervisor_guards_django import conf
from supervisor_guards_django.asgi import guard_lifespan


async def unused(scope: Any, receive: Any, send: Any) -> None:
    scope["seen"] = True


def lived(during: Any = lambda: None) -> list[str]:
    """What the application tells its server from start to end; `during` runs between."""
    told: list[str] = []
    steps = iter(({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}))

    async def receive() -> Any:
        if told:
            await asyncio.to_thread(during)
        return next(steps)

    async def tell(message: Any) -> None:
        told.append(" ".join(message.values()))

    asyncio.run(guard_lifespan(unused)({"type": "lifespan"}, receive, tell))
    return told


def test_what_shadow_queued_is_stored_when_the_server_ends(tmp_path: Path) -> None:
    with guarded(tmp_path, "shadow"):

        def request() -> None:
            headers = {"content-type": "application/json"}
            assert send("wsgi", "POST", "/refunds/o-1", b'{"amount": 50000}', headers=headers).status_code == 200

        assert lived(request) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        store: Any = get_guard().supervisor
        assert [row.would_have for row in store.store.decisions(10)] == ["deny"]


def test_settings_that_can_t_work_stop_an_enforcing_start(tmp_path: Path) -> None:
    with guarded(tmp_path, "shadow"):
        with override_settings(SUPERVISOR_GUARDS={"MODE": "enforce", "POLICY": "nowhere.yaml"}):
            (told,) = lived()
        assert told.startswith("lifespan.startup.failed")
        assert "nowhere.yaml" in told
        with override_settings(SUPERVISOR_GUARDS={"MODE": "shadow", "SAMPLE_PERCENT": 200}):
            assert len(lived()) == 2


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_everything_else_is_the_application_s(kind: str) -> None:
    scope: dict[str, Any] = {"type": kind}
    asyncio.run(guard_lifespan(unused)(scope, None, None))
    assert scope["seen"]
    conf.withdraw()
