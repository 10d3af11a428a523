"""What every answer tells browsers, and what none tells anybody."""

from __future__ import annotations

import socket
from pathlib import Path

import anyio
import httpx
import pytest

from supervisor_guards.service.app import create_app
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from tests.service.serving import ADMIN, PATIENCE, Caller, Running


def check(answer: httpx.Response) -> None:
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers.get_list("cache-control") == ["no-store"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/v1/action-types", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/actions/evaluate", 405),
        ("GET", "/v1/people", 401),
        ("POST", "/v1/actions/evaluate", 401),
    ],
)
def test_every_answer_has_them(running: Running, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, running.base_url + path, trust_env=False)
    assert answer.status_code == status
    check(answer)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1/actions/evaluate", "application/json"), ("/v1/session", "application/x-www-form-urlencoded")],
)
def test_a_body_is_refused_while_it_is_read(running: Running, shop: Caller, path: str, kind: str) -> None:
    """The answer comes before the body ends: here it never does."""
    place = httpx.URL(running.base_url)
    head = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n"
    token = f"authorization: {shop.headers['authorization']}\r\n\r\n"
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    with socket.create_connection((place.host, place.port or 80), PATIENCE) as connection:
        connection.sendall((head + token).encode() + chunk * 80)
        assert connection.recv(12) == b"HTTP/1.1 413"


async def _failed(tmp_path: Path) -> httpx.Response:
    service = Service(ServiceConfig.load({}, state_dir=str(tmp_path / "state"), admin_token=ADMIN["x-admin-token"]))
    app = create_app(service=service)

    def broken() -> None:
        raise RuntimeError("secret of the house")

    service.people.list = broken  # type: ignore[method-assign, assignment]
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.get("/v1/people", headers=ADMIN)


def test_a_fault_of_ours_has_them_too_and_tells_nothing(tmp_path: Path) -> None:
    answer = anyio.run(_failed, tmp_path)
    assert (answer.status_code, answer.json()) == (500, {"detail": "the service failed: its log says why"})
    check(answer)
    assert "secret of the house" not in answer.text
