"""What a version would have said to the recorded decisions of a window."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor_guards._model import Hit
from supervisor_guards.embedded.rows import now_us
from supervisor_guards.service.app import create_app
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from supervisor_guards.service.versions import read_one
from tests.service.policies import document, new_action, row, stored
from tests.service.serving import ADMIN_TOKEN, Running, serving, until

DAY_US = 86_400_000_000


def replayed(admin: httpx.Client, made: dict[str, Any], **query: Any) -> dict[str, Any]:
    """The result of a replay."""
    return admin.get(f"/v1/policies/{made['id']}/replay", params=query).raise_for_status().json()  # type: ignore[no-any-return]


def test_verdicts_are_compared_with_those_of_the_record(admin: httpx.Client, http: httpx.Client) -> None:
    action = new_action()
    stored(admin, document(action, more="  - {id: look, when: payload.amount > 50, action: review}\n"), promote=True)
    for amount in (10, 60, 120):
        for shadow in (False, True):
            asked = {"action_type": action, "payload": {"amount": amount}, "shadow": shadow}
            http.post("/v1/actions/evaluate", json=asked).raise_for_status()
    tighter = stored(admin, document(action, 2, cap=5))
    told = replayed(admin, tighter)
    assert (told["window"], told["policy_version"]) == ("24h", f"{action}.base@v2")
    assert {name: told[name] for name in ("total", "same", "differ", "would_tighten", "would_loosen")} == {
        "total": 6, "same": 2, "differ": 4, "would_tighten": 4, "would_loosen": 0,
    }  # fmt: skip
    assert sorted((one["from"], one["to"], one["count"]) for one in told["changes"]) == [
        ("allow", "deny", 2), ("review", "deny", 2),
    ]  # fmt: skip
    newest = told["divergences"][0]
    assert (newest["action_type"], newest["shadow"]) == (action, True)
    assert newest["recorded"] == {"decision": "review", "reasons": ["look"], "policy_version": f"{action}.base@v1"}
    assert newest["replayed"] == {"decision": "deny", "reasons": ["amount-exceeds-cap"]}
    looser = stored(admin, document(action, 3, cap=1_000))
    assert {name: replayed(admin, looser)[name] for name in ("same", "would_loosen")} == {"same": 2, "would_loosen": 4}


def test_an_approved_review_counts_as_the_review_that_it_was(running: Running, admin: httpx.Client) -> None:
    """The row of an action that ran after its approval says allow: the policy had said review."""
    action = new_action()
    hit = Hit("look", "review", "look", "")
    running.service.store.write([row(action, 1, hits=(hit,), rule_ids=("look",), reasons=("look",))])
    same = stored(admin, document(action, more="  - {id: look, when: payload.amount > 0, action: review}\n"))
    assert replayed(admin, same)["same"] == 1


def test_what_the_record_does_not_hold_is_counted_apart(running: Running, admin: httpx.Client) -> None:
    action = new_action()
    hidden, cut = {"__redacted__": True}, {"__truncated__": True, "length": 70_000}
    rows = [row(action, 1), row(action, hidden), row(action, cut), row(action, 1, context=json.dumps({"who": hidden}))]
    rows += [row(action, 1, status="unavailable"), row(action, 1, status="unknown"), row(action, 1, payload=None)]
    running.service.store.write(rows)
    plain = replayed(admin, stored(admin, document(action)))
    assert (plain["total"], plain["same"], plain["unreadable"], plain["skipped"]) == (4, 2, 2, 3)
    more = "  - {id: who, when: \"context.get('who', '') == 'x'\", action: review}\n"
    by_context = replayed(admin, stored(admin, document(action, 2, more=more)))
    assert (by_context["same"], by_context["unreadable"], by_context["differ"]) == (1, 3, 0)
    more = "  - {id: post, when: \"request.get('method') == 'POST'\", action: review}\n"
    by_request = stored(admin, document(action, 3, cap=0, more=more))
    told = replayed(admin, by_request)
    assert (told["would_tighten"], told["unreadable"]) == (2, 2), "a denial is sure, whatever the request was"
    sure = replayed(admin, stored(admin, document(action, 4, more=more)))
    assert (sure["same"], sure["unreadable"]) == (0, 4)


@pytest.mark.parametrize(("named", "unreadable"), [(True, 1), (False, 0)])
def test_the_order_of_arguments_is_kept_by_the_published_client_alone(
    running: Running, admin: httpx.Client, named: bool, unreadable: int
) -> None:
    action = new_action()
    payload = {"amount": 1} if named else {"amount": 1, "args": [7], "kwargs": {}}
    running.service.store.write([row(action, 1, payload=json.dumps(payload))])
    more = "  - {id: first, when: \"payload['args'][0] == 1\", action: deny}\n"
    told = replayed(admin, stored(admin, document(action, more=more)))
    assert (told["total"], told["unreadable"]) == (1, unreadable)


def test_the_window_and_the_limit_choose_the_newest(running: Running, admin: httpx.Client) -> None:
    action, other = new_action(), new_action()
    ages = (29, 29, 6, 0, 0)
    rows = [row(action, number, time=now_us() - days * DAY_US) for number, days in enumerate(ages)]
    running.service.store.write([*rows, row(other, 1), row(new_action(), 1)])
    made = stored(admin, document(f"[{action}, {other}]", name=action, cap=-1))
    assert [replayed(admin, made, window=window)["total"] for window in ("24h", "7d", "30d")] == [3, 4, 6]
    told = replayed(admin, made, window="30d", limit=2)
    assert (told["total"], [one["action_id"] for one in told["divergences"]]) == (
        2,
        [rows[4].action_id, rows[3].action_id],
    )
    for odd in ({"window": "1h"}, {"limit": 0}, {"limit": "x"}):
        assert admin.get(f"/v1/policies/{made['id']}/replay", params=odd).status_code == 422


def test_there_is_no_cap_and_progress_is_told(running: Running, admin: httpx.Client) -> None:
    action = new_action()
    for _ in range(5):
        running.service.store.write([row(action, number % 2 * 200) for number in range(501)])
    made = stored(admin, document(action))
    path = f"/v1/policies/{made['id']}/replay"
    with admin.stream("POST", path, headers={"accept": "application/x-ndjson"}) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
        *progress, last = [json.loads(line) for line in answer.iter_lines()]
    assert progress[0] == {"done": 0, "expected": 2505}
    assert len(progress) > 5
    assert [line["done"] for line in progress] == sorted(line["done"] for line in progress)
    assert progress[-1] == {"done": 2505, "expected": 2505}
    assert (last["result"]["total"], last["result"]["would_tighten"]) == (2505, 1250)
    assert len(last["result"]["divergences"]) == 100
    assert last["result"] == replayed(admin, made)


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
@pytest.mark.parametrize("accept", ["application/x-ndjson", "application/json"])
def test_the_work_ends_when_the_caller_goes(service_url: str, tmp_path: Path, spec: str, accept: str) -> None:
    action = new_action()
    values = {"database_url": service_url, "state_dir": str(tmp_path / "state"), "admin_token": ADMIN_TOKEN}
    service = Service(ServiceConfig.load({}, **values))
    service.store.write([row(action, number) for number in range(2_500)])
    sent: list[dict[str, Any]] = []
    pages: list[int] = []

    async def run() -> None:
        app = create_app(service=service)
        async with app.router.lifespan_context(app):
            made = service.versions.create(read_one(document(action)), "tests").policy
            gone = asyncio.Event()
            asked = False

            async def receive() -> dict[str, Any]:
                nonlocal asked
                if not asked:
                    asked = True
                    return {"type": "http.request", "body": b"", "more_body": False}
                await gone.wait()
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                sent.append(message)

            find = service.store.find_decisions

            def finding(*arguments: Any) -> Any:
                pages.append(1)
                if len(pages) == 2:
                    service.wakeups._loop.call_soon_threadsafe(gone.set)  # type: ignore[union-attr]
                return find(*arguments)

            service.store.find_decisions = finding  # type: ignore[method-assign]
            path = f"/v1/policies/{made.id}/replay"
            headers = [(b"accept", accept.encode()), (b"x-admin-token", ADMIN_TOKEN.encode())]
            scope = {
                "type": "http", "asgi": {"version": "3.0", "spec_version": spec}, "http_version": "1.1",
                "method": "GET", "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
                "root_path": "", "headers": headers, "client": ("127.0.0.1", 1), "server": ("s", 80),
            }  # fmt: skip
            await asyncio.wait_for(app(scope, receive, send), 60)

    asyncio.run(run())
    assert 2 <= len(pages) < 6, "of ten pages"
    assert b'"result"' not in b"".join(message.get("body", b"") for message in sent)


def test_a_process_that_ends_says_so(service_url: str, tmp_path: Path) -> None:
    action = new_action()
    with serving(service_url, tmp_path / "state", policy=None) as ending, ending.admin() as admin:
        ending.service.store.write([row(action, number) for number in range(500)])
        made = stored(admin, document(action))
        ending.service.wakeups.end()
        until(lambda: ending.service.wakeups.ending)
        refused = admin.get(f"/v1/policies/{made['id']}/replay")
        lines = admin.get(f"/v1/policies/{made['id']}/replay", headers={"accept": "application/x-ndjson"}).text
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "about to end" in json.loads(lines.splitlines()[-1])["detail"]
