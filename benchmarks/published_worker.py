"""The published package's side, run by the interpreter of its own environment (`.venvs/published`).

Reads one JSON command a line: first `{"base_url", "mode", "fields"}`, then `{"calls": N}` for each round, which
is answered by the N times of a guarded call in nanoseconds and their N bare counterparts. Imports nothing of
ours; of the published package only its documented interface.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any


def main() -> None:
    """Serve rounds until standard input closes."""
    from supervisor_guards import configure, supervised

    logging.disable(logging.CRITICAL)
    start = json.loads(sys.stdin.readline())
    configure(
        base_url=start["base_url"],
        app_id="benchmark",
        shared_secret="a secret of thirty-two characters",
        scopes=["*"],
        enforcement_mode=start["mode"],
    )
    bare = make_action(start["fields"])
    guarded = supervised("refund")(bare)
    for line in sys.stdin:
        calls = json.loads(line)["calls"]
        answer = {
            "guarded": timed(guarded, start["fields"], calls),
            "bare": timed(bare, start["fields"], calls),
        }
        print(json.dumps(answer), flush=True)


def make_action(fields: dict[str, Any]) -> Any:
    """A function that takes `fields` as keyword arguments and does nothing."""
    scope: dict[str, Any] = {}
    exec(f"def refund(*, {', '.join(fields)}): return None", scope)
    return scope["refund"]


def timed(call: Any, fields: dict[str, Any], calls: int) -> list[int]:
    """Nanoseconds of each call."""
    clock, times = time.perf_counter_ns, []
    for _ in range(calls):
        started = clock()
        call(**fields)
        times.append(clock() - started)
    return times


if __name__ == "__main__":
    main()
