"""Receivers that are slow, endless, rude or dead: each costs its own deliveries a while, and nobody else anything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor_guards.service.webhooks import deliveries
from supervisor_guards.service.webhooks.sending import MAX_ANSWER, Sender
from tests.service.hooking import Hook, hooking
from tests.service.receivers import Receiver, status
from tests.service.serving import Running, body, until


@pytest.fixture
def service(service_url: str, tmp_path: Path) -> Iterator[Running]:
    """A process of the service that may send to this machine, and tries once."""
    with hooking(service_url, tmp_path / "state", webhook_attempts=1) as running:
        yield running


def answer_of(receiver: Receiver, seconds: float) -> str:
    """What a sender with so much patience says of `receiver`."""
    return str(anyio.run(Sender(True, seconds).send, receiver.url, {}, b"{}"))


def test_only_2xx_is_an_answer_that_counts_and_the_last_one_is_shown(service: Running) -> None:
    with Receiver() as receiver:
        hook = Hook(service, receiver.url)
        for code, text, expected in (
            (200, b"thanks", ("delivered", "200: thanks")),
            (202, b"", ("delivered", "202")),
            (400, b"no\x00\x1b[31m \xff", ("failed", "400: no\ufffd [31m \ufffd")),
            (410, b"gone", ("failed", "410: gone")),
            (503, b"later", ("failed", "503: later")),
        ):
            receiver.behave = status(code, text)
            done = hook.settled(hook.test())
            assert (done["status"], done["answer"]) == expected
            assert done["attempts"] == 1
            assert done["next_attempt_at"] is None
        assert [one["status"] for one in hook.deliveries(status="failed")] == ["failed"] * 3


def test_what_failed_is_sent_again_under_its_own_id(service: Running) -> None:
    with Receiver(status(500)) as receiver:
        hook = Hook(service, receiver.url)
        delivery = hook.test()
        assert hook.settled(delivery)["status"] == "failed"
        receiver.behave = status(204)
        hook.post(f"deliveries/{delivery}/redeliver")
        until(lambda: hook.settled(delivery)["status"] == "delivered")
        hook.post(f"deliveries/{delivery}/redeliver")
        sent = receiver.wait(3)
    assert {one.verified(hook.secret).id for one in sent} == {delivery}
    assert len({one.body for one in sent}) == 1


def test_a_delivery_is_tried_until_it_is_accepted(
    service_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_FIRST_PAUSE", 20_000)
    settings: dict[str, Any] = {"webhook_attempts": 8, "webhook_timeout_seconds": 1_000}  # no lease lapses meanwhile
    with hooking(service_url, tmp_path / "state", **settings) as service, Receiver(status(503)) as receiver:
        hook = Hook(service, receiver.url)
        delivery = hook.test()
        receiver.wait(3)
        receiver.behave = status(200)
        done = hook.settled(delivery)
        assert (done["status"], done["answer"]) == ("delivered", "200")
        assert done["attempts"] == len(receiver.requests) >= 4


def test_the_pause_doubles_from_five_seconds_to_an_hour() -> None:
    pauses = [deliveries.pause(attempts) / 1_000_000 for attempts in range(1, 13)]
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    assert deliveries.pause(10_000) / 1_000_000 == 3600


def test_a_receiver_that_never_answers_holds_up_nobody(service: Running) -> None:
    def never(_handler: BaseHTTPRequestHandler) -> None:
        stuck.released.wait()

    with Receiver(never) as stuck, Receiver() as receiver:
        dead = Hook(service, stuck.url, "decision.made")
        alive = Hook(service, receiver.url, "decision.made")
        with service.integration().client(service.base_url) as http:
            for number in range(30):
                http.post("/v1/actions/evaluate", json=body(1, id=f"a-{number}")).raise_for_status()
        until(lambda: len({sent.verified(alive.secret).data["action_id"] for sent in receiver.requests}) == 30)
        until(lambda: [one["status"] for one in alive.deliveries()] == ["delivered"] * 30)
        assert {one["status"] for one in dead.deliveries()} == {"pending"}
        assert stuck.connections == 4


def test_a_receiver_that_never_answers_fails_at_the_deadline(tmp_path: Path) -> None:
    with (
        Receiver(lambda _: stuck.released.wait()) as stuck,  # type: ignore[arg-type,return-value]
        hooking(
            f"sqlite:///{tmp_path}/s.db", tmp_path / "s", webhook_attempts=1, webhook_timeout_seconds=0.2
        ) as service,
    ):
        done = Hook(service, stuck.url, "decision.made")
        delivery = done.test()
        assert done.settled(delivery)["answer"] == "no answer within 0.2 s"


def test_headers_that_drip_end_at_the_deadline() -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not receiver.released.wait(0.01):
            handler.wfile.write(b"x-a: b\r\n")

    with Receiver(drip) as receiver:
        assert answer_of(receiver, 0.3) == "no answer within 0.3 s"


def test_a_body_that_drips_isnt_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from supervisor_guards.service.webhooks import sending

    monkeypatch.setattr(sending, "_ANSWER_SECONDS", 0.1)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        status(200, b"a", **{"Content-Length": "1000000"})(handler)
        receiver.released.wait()

    with Receiver(drip) as receiver:
        assert answer_of(receiver, 60.0) == "200: a"


def test_an_endless_body_is_cut() -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        status(200, b"", **{"Content-Length": str(10**12)})(handler)
        while not receiver.released.is_set():
            handler.wfile.write(b"y" * 65_536)

    with Receiver(endless) as receiver:
        assert answer_of(receiver, 60.0) == f"200: {'y' * MAX_ANSWER}"


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"a" * 500_000, b"\x15\x03"]
)
def test_what_is_no_http_is_a_failure(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        answer = anyio.run(Sender(True, 30.0).send, url, {}, b"{}")
        thread.join()
    assert answer.status is None
    assert answer.text


def test_while_a_secret_is_replaced_both_fit(service: Running) -> None:
    with Receiver() as receiver:
        hook = Hook(service, receiver.url)
        new = hook.post("rotate-secret")["secret"]
        hook.settled(hook.test())
        (sent,) = receiver.requests
        assert sent.verified(hook.secret) == sent.verified(new)


def test_after_the_overlap_the_former_secret_is_refused(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"secret_overlap_seconds": 0.000_001}
    with hooking(f"sqlite:///{tmp_path}/s.db", tmp_path / "s", **settings) as service, Receiver() as receiver:
        hook = Hook(service, receiver.url)
        new = hook.post("rotate-secret")["secret"]
        hook.settled(hook.test())
        (sent,) = receiver.requests
        assert sent.verified(new).event == "webhook.test"
        assert sent.headers["x-supervisor-signature-v2"].count("sha256=") == 1


def test_a_secret_under_another_master_key_is_said_and_nothing_is_sent(service_url: str, tmp_path: Path) -> None:
    with Receiver() as receiver:
        with hooking(service_url, tmp_path / "state", webhook_attempts=1) as one:
            hook = Hook(one, receiver.url)
        with hooking(service_url, tmp_path / "other", policy=None, webhook_attempts=1) as two:
            hook.running = two
            answer = hook.settled(hook.test())["answer"]
        assert receiver.requests == []
    assert "was encrypted under master key" in answer
    assert "SUPERVISOR_MASTER_KEY" in answer
