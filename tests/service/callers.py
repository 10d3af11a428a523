"""Callers that never give up: what they were told is kept, to be compared with what the service knows afterwards.

Each asks one of two processes, and with the same id the other one when that fails, as a client with retries does.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import httpx

from tests.service.processes import ServiceProcess
from tests.service.serving import ADMIN, Caller, body

AMOUNTS = ((1, "allow"), (50, "review"), (500, "deny"))
_BUSY = 500
"""Statuses from here on are no answer: the service was ending, or its database away."""


class Load:
    """Callers on threads of their own. `wrong` is everything that must not have been answered."""

    def __init__(self, caller: Caller, processes: list[ServiceProcess]) -> None:
        self.caller = caller
        self.processes = processes
        self.answers: dict[str, dict[str, Any]] = {}
        self.resolved: dict[str, tuple[str, str]] = {}
        self.redeemed: set[str] = set()
        self.tried: set[str] = set()
        self.wrong: list[str] = []
        self._reviews: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._approved: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._asking = [threading.Thread(target=self._ask, args=(number,)) for number in range(3)]
        self._deciding = [threading.Thread(target=self._resolve), threading.Thread(target=self._redeem)]
        for thread in self._asking + self._deciding:
            thread.start()

    def stop(self) -> None:
        """Let everybody end what they have begun."""
        self._stop.set()
        for thread in self._asking:
            thread.join()
        self._reviews.put(None)
        self._deciding[0].join()
        self._approved.put(None)
        self._deciding[1].join()

    def _ask(self, number: int) -> None:
        with _Connections(self, self.caller.headers) as ask:
            count = 0
            while not self._stop.is_set():
                amount, expected = AMOUNTS[count % 3]
                name = f"{number}-{count}"
                count += 1
                asked = body(amount, id=name, digest=f"digest-{name}")
                answer = ask("/v1/actions/evaluate", asked).json()
                self.answers[name] = answer
                if (answer.get("id"), answer.get("decision")) != (name, expected):
                    self.wrong.append(f"{name} was answered {answer}")
                if count % 5 == 0 and ask("/v1/actions/evaluate", asked).json() != answer:
                    self.wrong.append(f"{name} was answered differently when it was asked again")
                if expected == "review":
                    self._reviews.put(name)

    def _resolve(self) -> None:
        with _Connections(self, ADMIN) as ask:
            for number, action_id in enumerate(iter(self._reviews.get, None)):
                decision, notes = ("rejected" if number % 4 == 3 else "approved"), f"by us {number}"
                path = f"/v1/review-cases/{action_id}/resolve"
                answer = ask(path, {"decision": decision, "notes": notes}, lost=409)
                case = ask(f"/v1/review-cases/{action_id}", None).json()
                if answer.status_code not in (200, 409):
                    self.wrong.append(f"the resolution of {action_id} was answered {answer.text}")
                if (case["status"], case["approver_notes"]) != (decision, notes):
                    self.wrong.append(f"{action_id} was resolved, and is {case}")
                self.resolved[action_id] = decision, notes
                if decision == "approved":
                    self._approved.put(action_id)

    def _redeem(self) -> None:
        with _Connections(self, self.caller.headers) as ask:
            for action_id in iter(self._approved.get, None):
                path, wanted = f"/v1/approvals/{action_id}/redeem", {"digest": f"digest-{action_id}"}
                self.tried.add(action_id)
                first, second = ask(path, wanted, lost=409), ask(path, wanted)
                if first.status_code == 200:
                    self.redeemed.add(action_id)
                if first.status_code not in (200, 409) or second.status_code != 409:
                    self.wrong.append(f"{action_id} was redeemed with {first.text} and {second.text}")


class _Connections:
    """Asks the processes in turn until one answers."""

    def __init__(self, load: Load, headers: dict[str, str]) -> None:
        self._load = load
        self._clients = [
            httpx.Client(base_url=one.base_url, headers=headers, trust_env=False, timeout=20.0)
            for one in load.processes
        ]
        self._next = 0

    def __enter__(self) -> Callable[..., httpx.Response]:
        return self._ask

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()

    def _ask(self, path: str, content: Any, lost: int | None = None) -> httpx.Response:
        """The first answer. `lost` is the status that only a second try may get: the first one's answer was lost."""
        tries = 0
        while True:
            client = self._clients[self._next]
            tries += 1
            try:
                answer = client.get(path) if content is None else client.post(path, json=content)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < _BUSY:
                if answer.status_code == lost and tries == 1:
                    self._load.wrong.append(f"{path} was answered {answer.text} at the first try")
                return answer
            self._next = (self._next + 1) % len(self._clients)
