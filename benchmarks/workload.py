"""What is measured: an action with ten fields, and policies of a given number of rules."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

ACTION = "refund"
FIELDS: dict[str, Any] = {
    "order_id": "pi_3OaBcDeFgHiJkLmN",
    "amount": 4200,
    "currency": "USD",
    "customer_id": "cus_8842",
    "reason": "requested_by_customer",
    "note": "The parcel arrived late and the box was open.",
    "partial": True,
    "fee": 12.5,
    "attempt": 1,
    "tags": ["late", "damaged"],
}

# None of these matches FIELDS; each reads the payload as a rule in use would.
_CONDITIONS = (
    "payload.amount > {high}",
    "payload.amount < 0 and payload.currency == 'USD'",
    "payload.currency in ('X{i:02}', 'Y{i:02}')",
    "payload.attempt >= {high} and payload.partial",
    "payload.fee > {high} or payload.amount == -{i}",
)


def conditions(rules: int) -> list[str]:
    """`rules` conditions of comparisons, `and`, `or` and `in`; none matches."""
    return [_CONDITIONS[i % len(_CONDITIONS)].format(i=i + 1, high=100_000 + i) for i in range(rules)]


def policy(rules: list[str]) -> str:
    """The text of a policy with one deny rule per condition."""
    lines = ["name: refund.benchmark", "version: 1", f"action: {ACTION}", "default: allow", "rules:"]
    for number, condition in enumerate(rules):
        lines += [
            f"  - id: rule-{number}",
            f'    when: "{condition}"',
            "    action: deny",
            f"    reason: reason-{number}",
        ]
    return "\n".join(lines) + "\n"


def make_action() -> Callable[..., None]:
    """A function with the ten fields as keyword arguments that does nothing."""

    def refund(
        *,
        order_id: str,
        amount: int,
        currency: str,
        customer_id: str,
        reason: str,
        note: str,
        partial: bool,
        fee: float,
        attempt: int,
        tags: list[str],
    ) -> None:
        return None

    return refund


def timed(call: Callable[..., Any], calls: int) -> list[int]:
    """Nanoseconds of each of `calls` calls with the ten fields, back to back."""
    clock, times, fields = time.perf_counter_ns, [], FIELDS
    for _ in range(calls):
        started = clock()
        call(**fields)
        times.append(clock() - started)
    return times


def paced(call: Callable[..., Any], calls: int, per_second: int) -> list[int]:
    """`timed` at a steady rate. The thread sleeps between calls, as one that waits for requests does."""
    clock, times, fields = time.perf_counter_ns, [], FIELDS
    interval = 1_000_000_000 // per_second
    due = clock()
    for _ in range(calls):
        due += interval
        while clock() < due:
            time.sleep(0)  # gives up the GIL; a longer sleep would miss 100 us
        started = clock()
        call(**fields)
        times.append(clock() - started)
    return times


def store_all(guard: Any) -> None:
    """Wait until every decision made so far is stored."""
    if not guard.flush(60):
        raise RuntimeError(f"{guard.stats().waiting} decisions were not stored within 60 s")


@contextlib.contextmanager
def guarded_in(mode: Literal["shadow", "sample", "enforce"], rules: int, **settings: Any) -> Iterator[tuple[Any, Path]]:
    """A default guard on a store and a policy in a temporary folder: `(guard, folder)`."""
    from supervisor_guards import configure
    from supervisor_guards.config import get_guard, reset_for_tests

    with tempfile.TemporaryDirectory(prefix="supervisor-benchmark-") as name:
        folder = Path(name)
        path = folder / "policy.yaml"
        path.write_text(policy(conditions(rules)))
        for variable in [key for key in os.environ if key.startswith("SUPERVISOR_")]:
            del os.environ[variable]
        configure(policy=str(path), state_dir=str(folder / "state"), enforcement_mode=mode, **settings)
        try:
            yield get_guard(), folder
        finally:
            reset_for_tests()
            gc.collect()
