"""Webhooks of several processes on one database: shared, told by all at once, and none lost when one dies."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from tests.service.hooking import Hook, hooking
from tests.service.processes import ServiceProcess
from tests.service.receivers import Receiver, status
from tests.service.serving import POLICY, Caller, Running, body, put_in_force, until

EVALUATE = "/v1/actions/evaluate"


def told_of(receiver: Receiver, secret: str) -> Counter[str]:
    """How often each action's event came."""
    return Counter(sent.verified(secret).data["action_id"] for sent in list(receiver.requests))


def statuses(service: Service) -> dict[str, int]:
    """How many deliveries there are of each status."""
    with service.store.reading() as held:
        found = held.exec_driver_sql("SELECT status, count(*) FROM sv_deliveries GROUP BY status").all()
    return {row[0]: row[1] for row in found}


def test_a_webhook_made_in_one_process_hears_of_the_next_action_in_another(service_url: str, tmp_path: Path) -> None:
    with (
        hooking(service_url, tmp_path / "state") as one,
        hooking(service_url, tmp_path / "state", policy=None) as two,
        Receiver() as receiver,
        one.integration().client(two.base_url) as http,
    ):
        http.post(EVALUATE, json=body(1, id="before")).raise_for_status()
        for number in range(5):
            hook = Hook(one, receiver.url, "decision.made")
            http.post(EVALUATE, json=body(1, id=f"a-{number}")).raise_for_status()
            assert [item["action_id"] for item in hook.deliveries()] == [f"a-{number}"]
            hook.post("disable")
            http.post(EVALUATE, json=body(1, id=f"b-{number}")).raise_for_status()
            assert [item["action_id"] for item in hook.deliveries()] == [f"a-{number}"]


def test_processes_share_the_work_and_each_event_comes_once(service_url: str, tmp_path: Path) -> None:
    with (
        hooking(service_url, tmp_path / "state") as one,
        hooking(service_url, tmp_path / "state", policy=None) as two,
        Receiver() as receiver,
    ):
        hook = Hook(one, receiver.url, "decision.made")
        caller = one.integration()

        def ask(running: Running, name: str) -> None:
            with caller.client(running.base_url) as http:
                for number in range(20):
                    items = [body(1, id=f"{name}-{number}-{item}") for item in range(5)]
                    http.post(f"{EVALUATE}/batch", json={"items": items}).raise_for_status()

        threads = [threading.Thread(target=ask, args=pair) for pair in ((one, "one"), (two, "two"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: not hook.deliveries(status="pending"))
        found = told_of(receiver, hook.secret)
    assert set(found.values()) == {1}
    assert set(found) == {
        f"{name}-{number}-{item}" for name in ("one", "two") for number in range(20) for item in range(5)
    }


def test_a_process_that_ends_gives_back_what_it_couldnt_finish(service_url: str, tmp_path: Path) -> None:
    def never(_handler: BaseHTTPRequestHandler) -> None:
        receiver.released.wait()

    # No lease lapses in this test: what is delivered was given back.
    settings: dict[str, Any] = {"webhook_timeout_seconds": 1_000}
    with Receiver(never) as receiver:
        with hooking(service_url, tmp_path / "state", **settings) as one:
            hook = Hook(one, receiver.url)
            delivery = hook.test()
            receiver.wait(1)
        receiver.behave = status(204)
        with hooking(service_url, tmp_path / "state", policy=None, **settings) as two:
            hook.running = two
            done = hook.settled(delivery)
        first, second = receiver.requests
    assert (done["status"], done["attempts"]) == ("delivered", 1)
    assert first.verified(hook.secret).id == second.verified(hook.secret).id == delivery


def test_what_is_under_way_ends_before_the_process_does(service_url: str, tmp_path: Path) -> None:
    def later(handler: BaseHTTPRequestHandler) -> None:
        until(lambda: one.service.wakeups.ending or one.server.should_exit)
        status(204)(handler)

    with Receiver(later) as receiver:
        with hooking(service_url, tmp_path / "state") as one:
            hook = Hook(one, receiver.url)
            hook.test()
            receiver.wait(1)
        with hooking(service_url, tmp_path / "state", policy=None) as two:
            hook.running = two
            assert [(item["status"], item["attempts"]) for item in hook.deliveries()] == [("delivered", 1)]
        assert len(receiver.requests) == 1


def test_kill_9_of_a_process_that_delivers_loses_nothing(service_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    environment = {"SUPERVISOR_WEBHOOK_PRIVATE": "1", "SUPERVISOR_WEBHOOK_TIMEOUT_SECONDS": "1"}
    service = Service(ServiceConfig.load({}, database_url=service_url, state_dir=str(folder)))
    put_in_force(service, POLICY)
    made, secret = service.integrations.create("shop", ["*"], "tests")
    caller = Caller({"id": made.id, "name": made.name, "shared_secret": secret})
    acknowledged: list[str] = []
    with Receiver() as receiver:
        _, signing = service.subscriptions.create(receiver.url, ["decision.made"], "tests")
        processes = [ServiceProcess(service_url, folder, **environment) for _ in range(2)]
        try:
            for kill in range(4):
                victim, other = processes[kill % 2], processes[(kill + 1) % 2]
                seen = len(receiver.requests)
                for running in (other, victim):
                    with caller.client(running.base_url) as http:
                        items = [body(1, id=f"{running.port}-{kill}-{item}") for item in range(50)]
                        http.post(f"{EVALUATE}/batch", json={"items": items}).raise_for_status()
                    acknowledged += [item["id"] for item in items]
                until(lambda seen=seen: len(receiver.requests) > seen + 10)  # it is at it
                victim.kill()
                victim.start()
            until(lambda: set(told_of(receiver, signing)) >= set(acknowledged))
            until(lambda: statuses(service) == {"delivered": 400})
        finally:
            for one in processes:
                one.close()
        found = told_of(receiver, signing)
    assert set(found) == set(acknowledged)
    service.close()
