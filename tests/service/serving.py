"""What the service's tests share: processes of the service on real sockets, its callers, and a policy.

`serving` runs one process's worth of the service on a thread of this process: an event loop, connections and caches of
its own, as in `supervisor-guards serve`. Two of them on one database know of each other by the database alone.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import uvicorn

from supervisor_guards.service.app import create_app
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from supervisor_guards.service.versions import read_one

ADMIN_TOKEN = "admin-token-of-these-tests"
ADMIN = {"x-admin-token": ADMIN_TOKEN}
_numbers = itertools.count(1)
PATIENCE = 60.0
"""Seconds for what must come: a busy machine is no fault."""

POLICY = """
name: refund.base
version: 1
action: [refund, payment]
rules:
  - {id: cap, when: payload.amount > 100, action: deny, reason: amount-exceeds-cap, explanation: Too much at once.}
  - {id: odd, when: "payload.get('odd')", action: deny, reason: odd-one}
  - {id: look, when: payload.amount >= 50, action: review, reason: amount-needs-a-look}
  - {id: soon, when: "payload.get('soon')", action: review, reason: somebody-waits, priority: urgent}
tests:
  - {payload: {amount: 1, odd: false}, expect: allow}
"""


def payload(amount: float, **fields: Any) -> dict[str, Any]:
    """A payload that `POLICY` judges by its amount: review from 50 on, deny above 100."""
    return {"amount": amount, "odd": False, **fields}


def body(amount: float, action_type: str = "refund", **fields: Any) -> dict[str, Any]:
    """The body of one evaluation."""
    return {"action_type": action_type, "payload": payload(amount), **fields}


class Caller:
    """An integration of the service: its id, its secret, and what it sends with them."""

    def __init__(self, item: dict[str, Any]) -> None:
        self.id: str = item["id"]
        self.name: str = item["name"]
        self.secret: str = item["shared_secret"]

    def token(self, **claims: Any) -> str:
        """A token as the published client signs it; `claims` replace its own, None leaves one out."""
        now = int(time.time())
        values = {"sub": self.id, "scopes": ["*"], "iat": now, "exp": now + 300, **claims}
        return jwt.encode({name: value for name, value in values.items() if value is not None}, self.secret, "HS256")

    @property
    def headers(self) -> dict[str, str]:
        """The header of a request."""
        return {"authorization": f"Bearer {self.token()}"}

    def client(self, base_url: str, **options: Any) -> httpx.Client:
        """A client that calls as this integration."""
        return httpx.Client(base_url=base_url, headers=self.headers, trust_env=False, timeout=PATIENCE, **options)


class Running:
    """A process of the service that listens."""

    def __init__(self, service: Service, base_url: str, server: uvicorn.Server) -> None:
        self.service = service
        self.base_url = base_url
        self.server = server

    def admin(self, **options: Any) -> httpx.Client:
        """A client with the administrator's token."""
        return httpx.Client(base_url=self.base_url, headers=ADMIN, trust_env=False, timeout=PATIENCE, **options)

    def integration(self, name: str | None = None, **fields: Any) -> Caller:
        """A new integration, made over the API."""
        with self.admin() as http:
            return Caller(
                http.post("/v1/integrations", json={"name": name or new_name("shop"), **fields})
                .raise_for_status()
                .json()
            )

    def resolve(self, action_id: str, decision: str = "approved", notes: str | None = None) -> dict[str, Any]:
        """The administrator decides a review."""
        with self.admin() as http:
            answer = http.post(f"/v1/review-cases/{action_id}/resolve", json={"decision": decision, "notes": notes})
            return answer.raise_for_status().json()  # type: ignore[no-any-return]


@contextlib.contextmanager
def serving(url: str, folder: Path, *, policy: str | None = POLICY, **settings: Any) -> Iterator[Running]:
    """A process of the service on the database at `url`; `folder` holds the keys, the same for each process of it."""
    values = {"database_url": url, "state_dir": str(folder), "admin_token": ADMIN_TOKEN, **settings}
    service = Service(ServiceConfig.load({}, **values))
    if policy is not None:
        put_in_force(service, policy)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(service=service), log_config=None, lifespan="on", proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        assert server.started
        yield Running(service, f"http://127.0.0.1:{listening.getsockname()[1]}", server)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listening.close()


@contextlib.contextmanager
def two_processes(url: str, folder: Path, **settings: Any) -> Iterator[tuple[Running, Running]]:
    """Two processes of the service on one database."""
    with serving(url, folder, **settings) as one, serving(url, folder, policy=None, **settings) as other:
        yield one, other


def put_in_force(service: Service, text: str) -> None:
    """The policy document `text` judges from now on, if nothing does yet."""
    if not service.versions.list(1):
        service.versions.create(read_one(text), "tests", promote=True)
    service.policies.refresh()


def new_name(of: str) -> str:
    """A name that nothing else has: `of` and a number."""
    return f"{of}-{next(_numbers)}"


def until(true: Any) -> None:
    """Wait until `true()` is; fail where it doesn't come."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
