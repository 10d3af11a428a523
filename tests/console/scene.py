"""What the console's tests and screenshots show: a service, people with roles, and a day of decisions."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from supervisor_guards._model import Hit
from supervisor_guards.embedded.rows import DecisionRow, now_us
from supervisor_guards.service.versions import read_one
from supervisor_guards.service.webhooks.redelivery import send_test
from tests.service.doors import person, quick
from tests.service.receivers import Receiver, status
from tests.service.serving import POLICY, Caller, Running, body, new_name, serving

_versions = itertools.count(2)
HOUR_US = 3_600_000_000
_KINDS: tuple[tuple[str, str, str, int], ...] = (
    ("refund", "POST /refunds/{order_id}", "enforce", 40),
    ("refund", "POST /refunds/{order_id}", "sample", 10),
    ("payment", "", "shadow", 35),
    ("delete_account", "DELETE /accounts/{id}", "shadow", 8),
    ("send_email", "", "shadow", 7),
)
_PEOPLE = {
    "viewer": ("viewer", "vera"),
    "reviewer": ("reviewer", "dana"),
    "administrator": ("administrator", "alex"),
    "colleague": ("reviewer", "robin"),
}
_RULES = {"deny": ("amount-cap", "amount-exceeds-cap"), "review": ("large-amount", "amount-needs-a-look")}


def rows(count: int, hours: float = 24.0, seed: int = 7) -> list[DecisionRow]:
    """Decisions of the last `hours`, the same for the same seed."""
    dice, now = random.Random(seed), now_us()
    made = []
    for number in range(count):
        action_type, route, mode, _ = dice.choices(_KINDS, [kind[3] for kind in _KINDS])[0]
        verdict = dice.choices(("allow", "review", "deny"), (88, 8, 4))[0]
        bucket = dice.randrange(100) if mode == "sample" else None
        enforced = mode == "enforce" or (bucket is not None and bucket < 10)
        status = dice.choices(("evaluated", "unavailable", "unknown"), (985, 10, 5))[0]
        hit = _RULES.get(verdict) if status == "evaluated" else None
        made.append(
            DecisionRow(
                action_id=f"seeded-{seed}-{number}",
                time=now - int(dice.random() * hours * HOUR_US),
                app_id="shop",
                action_type=action_type,
                route=route or None,
                subject=dice.choice(("ada", "grace", "edsger", None)),
                mode=mode,  # type: ignore[arg-type]
                enforced=enforced,
                outcome=verdict if enforced and status == "evaluated" else "allow",
                would_have=None if enforced or status != "evaluated" else verdict,
                status=status,  # type: ignore[arg-type]
                reasons=(hit[1],) if hit else (),
                rule_ids=(hit[0],) if hit else (),
                hits=(Hit(hit[0], verdict, hit[1], "Amounts like this one go through a person."),) if hit else (),
                policy_name="refund.base",
                policy_version="refund.base@v3",
                payload=f'{{"amount":{dice.randrange(10, 900)},"currency":"EUR","order":"A-{number}"}}',
                latency_us=int(dice.lognormvariate(5.5, 0.8)),
            )
        )
    return sorted(made, key=lambda row: row.time)


class Scene:
    """A process of the service, an application that calls it, and who looks."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.shop: Caller = running.integration()
        self.people = {part: person(running, role, name=name).name for part, (role, name) in _PEOPLE.items()}

    @property
    def address(self) -> str:
        """The console's."""
        return f"{self.running.base_url}/console"

    def ask(self, amount: float, action_type: str = "refund", **fields: Any) -> dict[str, Any]:
        """One evaluation by the application: review from 50 on, deny above 100."""
        with self.shop.client(self.running.base_url) as http:
            answer = http.post("/v1/actions/evaluate", json=body(amount, action_type, **fields))
            return answer.raise_for_status().json()  # type: ignore[no-any-return]

    def new_policy(self) -> str:
        """The id of a further version of the policy, which nobody has promoted."""
        text = POLICY.replace("version: 1", f"version: {next(_versions)}").replace(
            "payload.amount > 100", "payload.amount > 90"
        )
        return self.running.service.versions.create(read_one(text), "tests").policy.id

    def seed(self, count: int = 2_000) -> None:
        """A day of decisions, and some reviews that wait."""
        self.running.service.store.write(rows(count))


def administered(shown: Scene) -> dict[str, str]:
    """The pages for administrators by name, on a webhook whose receiver answers well, badly and not at all."""
    service = shown.running.service
    revoked, _ = service.integrations.create(new_name("old till"), ["refund"], "alex")
    service.integrations.revoke(revoked.id, "alex")
    service.integrations.rotate(shown.shop.id, "alex")
    disabled = person(shown.running, "viewer", password=None)
    service.people.disable(disabled.id, "alex")
    with Receiver() as receiver:
        webhook, _ = service.subscriptions.create(receiver.url, ["review.requested", "action.denied"], "alex")
        answers = (status(204), status(503, b'{"error": "the database is being upgraded, come back later"}'))
        for number, behave in enumerate(answers, 1):
            receiver.behave = behave
            sent = send_test(service.store, webhook, "alex")
            receiver.wait(number)
    send_test(service.store, webhook, "alex")
    ended, _ = service.subscriptions.create("https://receiver.example/hooks", ["decision.made"], "alex")
    service.subscriptions.disable(ended.id, "alex")
    who = service.people.named(shown.people["reviewer"]).id
    return {
        "integrations": "/administration/integrations",
        "integration": f"/administration/integrations/{shown.shop.id}",
        "people": "/administration/people",
        "person": f"/administration/people/{who}",
        "webhooks": "/administration/webhooks",
        "webhook": f"/administration/webhooks/{webhook.id}",
        "delivery": f"/administration/webhooks/{webhook.id}/deliveries/{sent.name}",
        "acts": "/administration/acts",
    }


@contextlib.contextmanager
def scene(folder: Path, **settings: Any) -> Iterator[Scene]:
    """A service on SQLite in `folder`."""
    with serving(f"sqlite:///{folder}/service.db", folder / "state", **settings) as running:
        quick(running.service)
        yield Scene(running)
