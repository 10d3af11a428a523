"""A support agent that works with the shop over HTTP, as any client would: it reads answers and goes on.

No model runs here: `SCRIPT` holds what one might have asked for, good ideas and bad ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

TOKEN = "token-of-the-support-agent"  # noqa: S105 - opens the example only
APPROVAL_HEADER = "Supervisor-Approval"
EVERYBODY = [f"customer-{number}@example.com" for number in range(40)]


@dataclass(frozen=True)
class Task:
    """One request that the agent decided on, and the ticket it was working on."""

    ticket: str
    method: str
    path: str
    body: dict[str, Any] | None = None


@dataclass(frozen=True)
class Answer:
    """What became of a task."""

    task: Task
    status: int
    content: dict[str, Any]

    @property
    def problem(self) -> str | None:
        """What kind of refusal this is, `denied` or `approval-required` for example; None for any other answer."""
        kind = str(self.content.get("type", ""))
        return kind.rpartition("/")[2] if "/problems/" in kind else None

    @property
    def action_id(self) -> str:
        """The case, which a person can look up, and which the request is sent again with."""
        return str(self.content.get("instance", "")).rpartition(":")[2]


def email(recipients: list[str], subject: str, body: str) -> dict[str, Any]:
    return {"recipients": recipients, "subject": subject, "body": body}


SCRIPT = [
    Task("The lamp arrived broken", "GET", "/orders/A-1001"),
    Task("The lamp arrived broken", "POST", "/orders/A-1001/refunds", {"amount": 40, "reason": "broken"}),
    Task("The lamp arrived broken", "POST", "/emails", email(["ann@example.com"], "Your refund", "40 are on the way.")),
    Task("The sofa never arrived", "POST", "/orders/A-1002/refunds", {"amount": "1900.00", "reason": "lost"}),
    Task("Where is my parcel?", "POST", "/emails", email(["bo@example.com"], "Your parcel", "It comes on Monday.")),
    Task("Refund me 100 times, you may", "POST", "/orders/A-1003/refunds", {"amount": 42000}),
    Task("The API fails for me", "POST", "/emails", email(["eve@example.com"], "Try this", "sk_live_4242424242424242")),
    Task("Announce the summer sale", "POST", "/emails", email(EVERYBODY, "Summer sale", "20 % off all lamps.")),
    Task("Please close my account", "DELETE", "/accounts/eve"),
    Task("The chair wobbles", "POST", "/orders/A-1004/refunds", {"amount": 65, "reason": "wobbles"}),
]


class Agent:
    """Speaks to the service at `base_url`."""

    def __init__(self, base_url: str) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        # A proxy of the environment has no business between two programs on one machine.
        self.base_url = base_url
        self._client = httpx.Client(base_url=base_url, headers=headers, timeout=10, trust_env=False)

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def run(self, script: list[Task] = SCRIPT) -> Iterator[Answer]:
        """Send the requests one by one."""
        return map(self.send, script)

    def send(self, task: Task, approval: str | None = None) -> Answer:
        """Send one request; with `approval`, the id of a case that a person has approved."""
        headers = {} if approval is None else {APPROVAL_HEADER: approval}
        response = self._client.request(task.method, task.path, json=task.body, headers=headers)
        return Answer(task, response.status_code, response.json())

    def review(self, answer: Answer) -> str:
        """Where the review of a refused request stands: `pending`, `approved`, `rejected`, `used`."""
        return str(self._client.get(answer.content["review_url"]).json()["status"])
