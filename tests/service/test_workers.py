"""`serve --workers N`: whichever process is asked for the counters tells those of all of them."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from tests.service.serving import ADMIN, ADMIN_TOKEN, Caller, body, until
from tests.service.test_serve import serve

ASKED = 40
_COUNT = re.compile(r'^supervisor_decisions_total\{.*mode="enforce".*\} (\S+)$', re.MULTILINE)


def test_the_counters_of_all_workers_are_told_by_each(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2", SUPERVISOR_ADMIN_TOKEN=ADMIN_TOKEN, SUPERVISOR_LOG_FORMAT="json") as one:
        made = httpx.post(f"{one.base_url}/v1/integrations", json={"name": "shop"}, headers=ADMIN, trust_env=False)
        caller = Caller(made.raise_for_status().json())
        for _ in range(ASKED):  # each over a connection of its own, so that both processes get some
            answer = httpx.post(
                f"{one.base_url}/v1/actions/evaluate", json=body(1), headers=caller.headers, trust_env=False
            )
            answer.raise_for_status()
        told = {_told(one.base_url) for _ in range(10)}
        assert told == {ASKED}
        until(lambda: one.printed.count('"route":"/v1/actions/evaluate","status":200') == ASKED)
    assert not list(tmp_path.glob("supervisor-guards-metrics-*"))
    assert caller.secret not in one.printed
    assert ADMIN_TOKEN not in one.printed


def _told(base_url: str) -> float:
    text = httpx.get(f"{base_url}/metrics", headers=ADMIN, trust_env=False).raise_for_status().text
    return sum(map(float, _COUNT.findall(text)))
