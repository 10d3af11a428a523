"""Webhooks over the API: who may have them, what is shown of them, and what they tell."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.hooking import WEBHOOKS, Hook, hooking, told
from tests.service.receivers import Receiver
from tests.service.serving import ADMIN, Caller, Running, body, until

EVALUATE = "/v1/actions/evaluate"


@pytest.fixture
def service(service_url: str, tmp_path: Path) -> Iterator[Running]:
    """A process of the service that may send to this machine."""
    with hooking(service_url, tmp_path / "state") as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that accepts everything."""
    with Receiver() as listening:
        yield listening


def ask(service: Running, caller: Caller, *asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge these; the answers."""
    with caller.client(service.base_url) as http:
        return [http.post(EVALUATE, json=one).raise_for_status().json() for one in asked]


def test_a_decision_is_told_with_the_headers_of_version_1_and_ours(service: Running, receiver: Receiver) -> None:
    hook = Hook(service, receiver.url)
    shop = service.integration()
    (answer,) = ask(service, shop, body(1, id="a-1"))
    (sent,) = receiver.wait()
    assert sent.path == "/hooks?of=tests"
    assert sent.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["x-supervisor-event"] == "decision.made"
    own = hmac.new(hook.secret.encode(), sent.body, hashlib.sha256).hexdigest()
    assert sent.headers["x-supervisor-signature"] == f"sha256={own}"
    delivery = sent.verified(hook.secret)
    assert delivery.id == hook.settled()["id"]
    assert delivery.data["action_id"] == answer["action_id"] == "a-1"
    assert (delivery.data["decision"], delivery.data["integration_id"]) == ("allow", shop.id)
    assert delivery.data["payload"] == body(1)["payload"]
    assert hook.settled()["status"] == "delivered"
    assert (hook.settled()["attempts"], hook.settled()["answer"]) == (1, "204")


def test_each_event_is_told_to_who_wants_it(service: Running, receiver: Receiver) -> None:
    events = ("decision.made", "action.denied", "review.requested", "review.resolved", "threat.detected")
    hook = Hook(service, receiver.url, *events)
    shop = service.integration()
    ask(service, shop, body(1, id="a"), body(500, id="d"), body(50, id="r"), body(500, id="s", shadow=True))
    service.resolve("r", "rejected", "not this one")
    found = told(receiver, hook, 7)
    assert sorted((event, data["action_id"]) for event, data in found) == [
        ("action.denied", "d"),
        ("decision.made", "a"),
        ("decision.made", "d"),
        ("decision.made", "r"),
        ("decision.made", "s"),
        ("review.requested", "r"),
        ("review.resolved", "r"),
    ]
    requested = next(data for event, data in found if event == "review.requested")
    resolved = next(data for event, data in found if event == "review.resolved")
    with service.admin() as http:
        stored = http.get("/v1/review-cases/r").json()
    assert resolved == stored
    assert (resolved["status"], resolved["approver_notes"]) == ("rejected", "not this one")
    changed = {"status": "pending", "state": "pending", "resolved_at": None, "approver": None, "approver_notes": None}
    assert requested == {**stored, **changed}


def test_administrative_acts_are_told_without_secrets(service: Running, receiver: Receiver) -> None:
    hook = Hook(service, receiver.url, "administration.changed")
    shop = service.integration("till")
    found = [data for _, data in told(receiver, hook, 2)]
    assert {(one["kind"], one["id"], one["by"]) for one in found} == {
        ("webhook", hook.id, "admin token"),
        ("integration", shop.id, "admin token"),
    }
    everything = b"".join(sent.body for sent in receiver.requests).decode()
    assert shop.secret not in everything
    assert hook.secret not in everything


def test_an_integrations_webhook_hears_of_its_own_actions_only(service: Running, receiver: Receiver) -> None:
    shop, bank = service.integration(), service.integration()
    hook = Hook(service, receiver.url, "decision.made", "administration.changed", integration_id=shop.id)
    everybodys = Hook(service, receiver.url + "&all", "decision.made")
    ask(service, bank, body(1, id="theirs"))
    ask(service, shop, body(1, id="ours"))
    until(lambda: len(everybodys.deliveries()) == 2)
    assert [one["action_id"] for one in hook.deliveries()] == ["ours"]
    receiver.wait(3)


def test_what_was_redacted_or_rolled_back_is_told_to_nobody(service: Running, receiver: Receiver) -> None:
    hook = Hook(service, receiver.url, "decision.made")
    shop = service.integration()
    secret = {"password": "hunter2", "api_key": "sk-live-1"}
    asked = {"action_type": "refund", "payload": {"amount": 1, "odd": False, **secret}, "id": "a-1"}
    ask(service, shop, asked, asked)
    with shop.client(service.base_url) as http:
        assert http.post(EVALUATE + "?dry_run=true", json=body(1)).status_code == 200
        assert http.post(EVALUATE, json={**asked, "action_type": "payment"}).status_code == 409
    ((_, data),) = told(receiver, hook, 1)
    assert "hunter2" not in str(data)
    assert "sk-live-1" not in str(data)
    assert len(hook.deliveries()) == 1


def test_a_large_decision_is_told_without_its_largest_fields(service: Running, receiver: Receiver) -> None:
    hook = Hook(service, receiver.url, "decision.made")
    many = {f"field{number}": "x" * 900 for number in range(400)}
    ask(service, service.integration(), {"action_type": "refund", "payload": {"amount": 1, "odd": False, **many}})
    ((_, data),) = told(receiver, hook, 1)
    assert len(receiver.requests[0].body) <= 262_144
    assert data["payload"] is None
    assert data["omitted"] == ["payload"]
    assert data["decision"] == "allow"


def test_the_secret_is_shown_once_and_encrypted_where_it_is_stored(tmp_path: Path, receiver: Receiver) -> None:
    path = tmp_path / "service.db"
    with hooking(f"sqlite:///{path}", tmp_path / "state") as service:
        hook = Hook(service, receiver.url)
        rotated = hook.post("rotate-secret")["secret"]
        shown = hook.call("GET", WEBHOOKS).text + hook.call("GET", hook.path).text
        for secret in (hook.secret, rotated):
            assert len(secret) > 40
            assert secret not in shown
    with sqlite3.connect(path) as held:
        dump = "\n".join(held.iterdump())
    held.close()
    assert hook.id in dump
    assert hook.secret not in dump
    assert rotated not in dump


def test_only_administrators_have_webhooks(service: Running, receiver: Receiver) -> None:
    hook = Hook(service, receiver.url)
    shop = service.integration()
    calls = [
        ("POST", WEBHOOKS), ("GET", WEBHOOKS), ("GET", hook.path), ("POST", f"{hook.path}/rotate-secret"),
        ("POST", f"{hook.path}/disable"), ("POST", f"{hook.path}/test"), ("GET", f"{hook.path}/deliveries"),
        ("GET", f"{hook.path}/deliveries/{hook.id}-1"), ("POST", f"{hook.path}/deliveries/{hook.id}-1/redeliver"),
    ]  # fmt: skip
    for headers in ({}, shop.headers, {"x-admin-token": "wrong"}):
        with httpx.Client(base_url=service.base_url, headers=headers, trust_env=False) as http:
            for method, path in calls:
                assert http.request(method, path).status_code in (401, 403), (method, path, headers)
    assert hook.call("GET", hook.path).json()["active"] is True


@pytest.mark.parametrize(
    ("changed", "where", "message"),
    [
        ({"events": []}, ["body", "events"], "decision.made, action.denied, review.resolved"),
        ({"events": ["all"]}, ["body", "events"], "decision.made"),
        ({"integration_id": "nobody"}, ["body", "integration_id"], "the id of an integration, or null"),
        ({"url": "ftp://x.example/"}, ["body", "url"], "https://receiver.example/hooks"),
        ({"url": "https://me:pw@x.example/"}, ["body", "url"], "user or password"),
        ({"url": "https://x.example/#top"}, ["body", "url"], "remove what follows"),
        ({"url": "https://x.example:0/"}, ["body", "url"], "port 0"),
        ({"url": "https://x.example:99999/"}, ["body", "url"], "not a URL"),
        ({"url": "https://[::1/"}, ["body", "url"], "not a URL"),
        ({"url": "https://münchen.example/"}, ["body", "url"], "punycode"),
        ({"url": "https://x.example/" + "a" * 2_000}, ["body", "url"], "at most 2000"),
        ({"url": 5}, ["body", "url"], "Expected `str`"),
    ],
)
def test_what_can_be_no_webhook_is_refused(
    running: Running, changed: dict[str, Any], where: list[str], message: str
) -> None:
    wanted = {"url": "https://x.example/", **changed}
    with running.admin() as http:
        before = http.get(WEBHOOKS).json()
        answer = http.post(WEBHOOKS, json=wanted)
        assert http.get(WEBHOOKS).json() == before
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == where
    assert message in answer.json()["detail"][0]["msg"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://receiver.example/", "sends decisions in the clear: use https, or set webhook_private"),
        ("https://receiver.example:5432/", "port 5432: use 443 or 8443"),
        ("https://127.0.0.1/", "127.0.0.1 has the address 127.0.0.1, which isn't public"),
        ("https://[::ffff:10.0.0.1]/", "isn't public: set webhook_private"),
        ("https://169.254.169.254/latest", "isn't public"),
        ("https://localhost/", "localhost is this machine"),
        ("https://2130706433/", "has the address 127.0.0.1, which isn't public"),
    ],
)
def test_without_the_setting_no_webhook_goes_to_the_own_network(running: Running, url: str, message: str) -> None:
    with running.admin() as http:
        answer = http.post(WEBHOOKS, json={"url": url})
    assert answer.status_code == 422
    assert message in answer.json()["detail"][0]["msg"]


def test_a_disabled_webhook_is_sent_nothing_more(service: Running, receiver: Receiver) -> None:
    hook = Hook(service, receiver.url, "decision.made")
    assert hook.post("disable")["active"] is False
    ask(service, service.integration(), body(1))
    assert hook.deliveries() == []
    for path in ("disable", "rotate-secret", "test"):
        assert hook.call("POST", f"{hook.path}/{path}").status_code == 409
    assert hook.call("GET", hook.path).json()["disabled_at"] is not None
    assert receiver.requests == []


def test_what_isnt_there_is_404(service: Running, receiver: Receiver) -> None:
    one, other = Hook(service, receiver.url), Hook(service, receiver.url)
    delivery = one.test()
    one.settled(delivery)
    rest = f"deliveries/{delivery}"
    paths = [
        f"{WEBHOOKS}/nobody", f"{WEBHOOKS}/nobody/deliveries", f"{other.path}/{rest}", f"{one.path}/deliveries/7",
        f"{one.path}/deliveries/{one.id}-{'9' * 30}", f"{one.path}/deliveries/{one.id}-x",
    ]  # fmt: skip
    assert [one.call("GET", path).status_code for path in paths] == [404] * len(paths)
    assert one.call("POST", f"{other.path}/{rest}/redeliver").status_code == 404
    assert one.call("GET", f"{one.path}/{rest}").json()["body"]["event"] == "webhook.test"


def test_lists_come_in_pages_by_link(service: Running, receiver: Receiver) -> None:
    hooks = [Hook(service, receiver.url, "threat.detected") for _ in range(5)]
    made = [hooks[0].test() for _ in range(5)]
    for path, expected in ((WEBHOOKS, [hook.id for hook in hooks]), (f"{hooks[0].path}/deliveries", made)):
        found: list[str] = []
        target: str | None = f"{path}?limit=2"
        with httpx.Client(base_url=service.base_url, headers=ADMIN, trust_env=False) as http:
            while target is not None:
                page = http.get(target).raise_for_status()
                found += [one["id"] for one in page.json()]
                target = page.links.get("next", {}).get("url")
        assert found == expected[::-1]
    assert hooks[0].call("GET", f"{hooks[0].path}/deliveries?status=odd").status_code == 422
    assert hooks[0].call("GET", f"{WEBHOOKS}?before=odd").status_code == 422


def test_there_are_at_most_a_hundred_active_webhooks(service: Running, receiver: Receiver) -> None:
    for _ in range(100):
        made, _secret = service.service.subscriptions.create(receiver.url, ["threat.detected"], "tests")
    with service.admin() as http:
        refused = http.post(WEBHOOKS, json={"url": receiver.url})
        http.post(f"{WEBHOOKS}/{made.id}/disable").raise_for_status()
        assert http.post(WEBHOOKS, json={"url": receiver.url}).status_code == 201
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "100 webhooks are active, the most there may be: disable one",
    )
