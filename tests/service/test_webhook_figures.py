"""What Prometheus is told of webhooks: the same by every process, from the database."""

from __future__ import annotations

import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from supervisor_guards.service.webhooks import deliveries
from tests.service.hooking import Hook, hooking
from tests.service.receivers import Receiver, status
from tests.service.serving import Running, until

OLDEST = "supervisor_webhook_oldest_pending_seconds"


def figures(running: Running) -> dict[str, float]:
    """The series of webhooks that this process tells."""
    with running.admin() as http:
        lines = http.get("/metrics").raise_for_status().text.splitlines()
    found = (re.fullmatch(r"supervisor_webhook_(\S+) (\S+)", line) for line in lines)
    return {f"supervisor_webhook_{one[1]}": float(one[2]) for one in found if one}


def numbers(running: Running) -> tuple[float, ...]:
    """How many wait, were delivered, failed and were canceled; and that only what waits has an age."""
    found = figures(running)
    states = [f'supervisor_webhook_ends_total{{state="{state}"}}' for state in ("delivered", "failed", "canceled")]
    pending = found['supervisor_webhook_deliveries{state="pending"}']
    assert (found[OLDEST] > 0) == (pending > 0)
    return (pending, *(found[state] for state in states))


def test_deliveries_are_counted_by_how_they_ended(service_url: str, tmp_path: Path) -> None:
    def keep_waiting(handler: BaseHTTPRequestHandler) -> None:
        slow.released.wait()
        status(204)(handler)

    with (
        Receiver() as good,
        Receiver(status(503)) as bad,
        Receiver(keep_waiting) as slow,
        hooking(service_url, tmp_path / "state", webhook_attempts=1) as one,
        hooking(service_url, tmp_path / "state", policy=None, webhook_attempts=1) as two,
    ):
        assert numbers(one) == numbers(two) == (0, 0, 0, 0)
        delivered, failed, waits = (Hook(one, receiver.url) for receiver in (good, bad, slow))
        for hook in (delivered, delivered, failed):
            assert hook.settled(hook.test())["status"] == ("failed" if hook is failed else "delivered")
        waits.test()
        slow.wait()
        assert numbers(one) == numbers(two) == (1, 2, 1, 0)
        first = figures(one)[OLDEST]
        until(lambda: figures(two)[OLDEST] > first)

        waits.post("disable")
        assert numbers(one) == numbers(two) == (0, 2, 1, 1)

        delivered.post(f"deliveries/{delivered.settled()['id']}/redeliver")
        until(lambda: numbers(two) == (0, 3, 1, 1))
        # Retention takes the deliveries; what was counted stays.
        one.service.store.transact(lambda held, _note: deliveries.purge(held, 10**18, 100))
        assert delivered.deliveries() == []
        assert numbers(one) == numbers(two) == (0, 3, 1, 1)
        slow.released.set()
