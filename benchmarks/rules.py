"""Rule evaluation alone: a decoded payload in, a verdict out; nothing is stored."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import workload
from benchmarks.figures import Figure, median
from benchmarks.scale import Scale

_RULES = 100
_MIX = {
    "comparisons": workload.conditions(_RULES),
    "method": [f"payload.reason.startswith('x{i}')" for i in range(_RULES)],
    "matches": [f"matches(payload.note, 'x{i}[0-9]+$')" for i in range(_RULES)],
    "one": workload.conditions(1),
}


def figures(scale: Scale) -> Iterator[Figure]:
    """Nanoseconds a rule, by what the rule does."""
    with tempfile.TemporaryDirectory(prefix="supervisor-benchmark-") as folder:
        evaluate = {name: _evaluator(Path(folder) / name, rules) for name, rules in _MIX.items()}
        times: dict[str, list[float]] = {name: [] for name in evaluate}
        for _ in scale.in_time():
            for name, call in evaluate.items():
                times[name].append(_per_call(call))
    one = {name: median(rounds) for name, rounds in times.items()}
    yield Figure("100 rules, none matches, per rule", "ns", one["comparisons"] / _RULES, goal=60,
                 note="the whole evaluation over 100, its fixed cost included")  # fmt: skip
    yield Figure("the same, cost of one rule more", "ns", (one["comparisons"] - one["one"]) / (_RULES - 1))
    yield Figure("a rule that calls a string method", "ns", (one["method"] - one["one"]) / (_RULES - 1))
    yield Figure("a rule that calls matches()", "ns", (one["matches"] - one["one"]) / (_RULES - 1))


def _evaluator(path: Path, conditions: list[str]) -> Callable[[], Any]:
    from supervisor_guards._config import GuardConfig
    from supervisor_guards.embedded.supervisor import EmbeddedSupervisor

    file = path.with_suffix(".yaml")
    file.write_text(workload.policy(conditions))
    policies = EmbeddedSupervisor.from_config(GuardConfig(policy=str(file))).policy.current()
    payload = dict(workload.FIELDS)
    verdict = policies.evaluate(workload.ACTION, payload, {}, {})
    assert verdict.outcome.value == "allow", verdict.reasons
    return lambda: policies.evaluate(workload.ACTION, payload, {}, {})


def _per_call(call: Callable[[], Any], seconds: float = 0.03) -> float:
    """Nanoseconds of one call: the best of ten short loops, since noise only adds."""
    call()
    started = time.perf_counter_ns()
    call()
    calls = max(1, int(seconds / 10 * 1e9 / max(1, time.perf_counter_ns() - started)))
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter_ns()
        for _ in range(calls):
            call()
        best = min(best, (time.perf_counter_ns() - started) / calls)
    return best
