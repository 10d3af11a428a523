"""What the tests of webhooks share: a service that may send to this machine, and its administrator's calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.service.receivers import Receiver
from tests.service.serving import Running, serving, until

WEBHOOKS = "/v1/webhooks"


@contextlib.contextmanager
def hooking(url: str, folder: Path, **settings: Any) -> Iterator[Running]:
    """A process of the service whose webhooks may go to this machine."""
    with serving(url, folder, **{"webhook_private": True, **settings}) as running:
        yield running


class Hook:
    """A subscription, made over the API."""

    def __init__(self, running: Running, url: str, *events: str, **fields: Any) -> None:
        self.running = running
        wanted = {"url": url, **fields, **({"events": list(events)} if events else {})}
        self.item = self.call("POST", WEBHOOKS, json=wanted).raise_for_status().json()
        self.id: str = self.item["id"]
        self.secret: str = self.item["secret"]
        self.path = f"{WEBHOOKS}/{self.id}"

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """What the administrator is answered."""
        with self.running.admin() as http:
            return http.request(method, path, **options)

    def post(self, rest: str) -> Any:
        """The answer to a POST of the webhook's own."""
        return self.call("POST", f"{self.path}/{rest}").raise_for_status().json()

    def deliveries(self, **query: Any) -> list[dict[str, Any]]:
        """Its deliveries, newest first."""
        return self.call("GET", f"{self.path}/deliveries", params=query).raise_for_status().json()  # type: ignore[no-any-return]

    def test(self) -> str:
        """Send a test; the delivery's id."""
        return self.post("test")["id"]  # type: ignore[no-any-return]

    def settled(self, delivery: str | None = None) -> dict[str, Any]:
        """The delivery (the newest), once it is no longer pending."""

        def find() -> dict[str, Any]:
            return next(one for one in self.deliveries() if delivery in (None, one["id"]))

        until(lambda: self.deliveries() and find()["status"] != "pending")
        return find()


def told(receiver: Receiver, hook: Hook, number: int) -> list[tuple[str, dict[str, Any]]]:
    """The events that came, verified: so many, in no order."""
    return [(one.event, dict(one.data)) for one in (sent.verified(hook.secret) for sent in receiver.wait(number))]
