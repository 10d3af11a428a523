"""The ASGI adapter on real servers: answers, executions and records are those of the contract."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, TextMessage
from wsproto.events import Request as Handshake

from supervisor_guards import GuardConfig
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor
from tests.integrations import contract
from tests.integrations.servers import Server, message
from tests.integrations.test_asgi_routing import PATHS

JSON = [("content-type", "application/json")]
MAIN = (
    "allowed",
    "denied",
    "held",
    "a query parameter is no body field",
    "broken JSON",
    "compressed",
    "too large",
    "no body",
    "denied by its path alone",
    "HEAD runs what GET guards",
    "a form held",
    "an action without a policy",
    "no route",
    "another method",
    "a redirect",
)


class OnServer:
    """The contract's harness: a guard in another process."""

    def __init__(self, server: Server, variant: str) -> None:
        self.server = server
        self.variant = variant
        self.own: dict[str, str] = {}
        server.mark(variant)

    def send(self, case: contract.Case) -> contract.Answer:
        return contract.Answer(*self.server.exchange(case.method, case.path, self.variant, case.body, case.headers))

    def label(self, route: str) -> str:
        return route

    @property
    def ran(self) -> list[str]:
        return [line.partition(" ")[0] for line in self.server.ran(self.variant)]

    def rows(self) -> list[Any]:
        return self.server.rows(self.variant)


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("name", MAIN)
def test_a_request_is_answered_and_recorded_as_the_contract_says(server: Server, name: str, mode: str) -> None:
    (case,) = (one for one in contract.CASES if one.name == name)
    contract.check(OnServer(server, mode), case, mode)


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_no_way_to_write_a_path_runs_an_endpoint_without_an_evaluation(server: Server, mode: str) -> None:
    paths = [path.replace("/api/refunds", "/corpus/api").replace("/refunds", "/corpus") for path in PATHS]
    paths += ["/rest/a%0Ab", "/rest//x", "/over/%0A", "/over/%2e%2e", "/over/x?%00"]
    server.mark(mode)
    for path in paths:
        for method in ("POST", "post", "GET"):
            server.raw(method, path, mode, headers=[("x-tag", server.tag())])
        server.raw("POST", path, mode, headers=[("x-tag", server.tag()), ("host", "a/b?c#d@[e")])
    ran = [line.partition(" ")[2] for line in server.ran(mode)]
    judged = [json.loads(row.payload)["x-tag"] for row in server.rows(mode) if row.action_type == "path"]
    assert len(ran) > 10
    assert sorted(ran) == sorted(judged)


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_a_guarded_stream_flows_while_another_client_is_served(server: Server, mode: str) -> None:
    def stream(variant: str) -> bytes:
        tag, received = server.tag(), bytearray()
        with server.connect() as connection:
            connection.sendall(message("POST", "/sse", variant, b'{"amount": 1}', [*JSON, ("x-tag", tag)]))
            while b"gone=" not in received:
                received += connection.recv(65_536)
            assert server.exchange("POST", "/signal", variant, headers=[("x-tag", tag)])[0] == 200
            while received.count(b"gone=") < 2:
                more = connection.recv(65_536)
                assert more, received
                received += more
        return bytes(received).partition(b"\r\n\r\n")[2]

    guarded = stream(mode)
    assert b"data: 13 gone=False" in guarded
    assert guarded.count(b"gone=False") == stream("bare").count(b"gone=False")  # gunicorn says True while it sends


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_an_endpoint_hears_that_its_client_hung_up(server: Server, mode: str) -> None:
    server.mark(mode)
    with server.connect() as connection:
        connection.sendall(message("POST", "/endless", mode, b'{"amount": 1}', JSON))
        received = b""
        while b"first" not in received:
            received += connection.recv(65_536)
    assert server.ran(mode) == ["endless -"]  # answers once the endpoint has ended
    (row,) = server.rows(mode)
    assert row.payload == '{"amount":1}'


def test_a_denial_by_route_comes_before_the_body_is_asked_for(server: Server) -> None:
    def first(variant: str) -> bytes:
        with server.connect() as connection:
            head = message("POST", "/closed", variant, b"12345", [("expect", "100-continue")]).removesuffix(b"12345")
            connection.sendall(head)
            received = bytearray()
            while b"\r\n\r\n" not in received:
                received += connection.recv(65_536)
            lines = bytes(received)
            while b" 100 " in lines and lines.count(b"HTTP/1.1") < 2:  # the server's own, sent without a question
                lines += connection.recv(65_536)
            return lines

    server.mark("enforce")
    by_itself = b" 100 " in first("bare")
    answer = first("enforce")
    assert b" 403 " in answer
    assert by_itself or answer.startswith(b"HTTP/1.1 403")
    assert server.ran("enforce") == []


@pytest.mark.parametrize("server", ["hypercorn", "hypercorn-trio"], indirect=True)
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_a_body_streamed_over_http2_is_read(server: Server, mode: str) -> None:
    server.mark(mode)

    def parts(amount: int) -> Iterator[bytes]:
        yield b'{"amount": '
        yield b"%d}" % amount

    with httpx.Client(http1=False, http2=True, trust_env=False, timeout=60) as client:
        answers = [
            client.post(
                f"http://127.0.0.1:{server.port}/refunds/o-1",
                content=parts(amount),
                headers={"x-variant": mode, "content-type": "application/json"},
            )
            for amount in (5, 50_000)
        ]
    assert {one.http_version for one in answers} == {"HTTP/2"}
    assert [one.status_code for one in answers] == [200, 403 if mode == "enforce" else 200]
    found = {json.loads(row.payload or "")["amount"]: row.would_have or row.outcome for row in server.rows(mode)}
    assert found == {5: "allow", 50_000: "deny"}


def test_half_a_body_is_neither_judged_nor_run(server: Server) -> None:
    server.mark("enforce")
    begun = server.control("/begun?count=0")["begun"]
    with server.connect() as connection:
        connection.sendall(message("POST", "/refunds/o-1", "enforce", b'{"amount": 1}', JSON)[:-5])
        server.control(f"/begun?count={begun + 1}")
    assert server.ran("enforce") == []
    assert server.rows("enforce") == []


def test_a_client_that_hangs_up_while_a_person_decides_leaves_nothing_to_run(server: Server) -> None:
    server.mark("enforce")
    tag = server.tag()
    with server.connect() as connection:
        connection.sendall(message("POST", "/held", "enforce", headers=[("x-tag", tag)]))
        server.control("/seen?note=review")
    assert server.ran("enforce") == []
    (row,) = server.rows("enforce")
    assert (row.action_type, row.outcome, row.result) == ("held", "review", "not-run")
    with _desk(server) as desk:
        assert desk.review(row.action_id).status == "abandoned"


def test_fifty_resubmissions_of_one_approved_request_run_once(server: Server) -> None:
    body = json.dumps({"amount": 5_000, "note": server.tag()}).encode()

    def submit(*headers: tuple[str, str]) -> tuple[int, str]:
        status, _, answer = server.exchange("POST", "/refunds/o-50", "enforce", body, [*JSON, *headers])
        return status, json.loads(answer).get("type", "")

    server.mark("enforce")
    status, kind = submit()
    assert (status, kind.rpartition("/")[2]) == (403, "approval-required")
    (held,) = server.rows("enforce")
    with _desk(server) as desk:
        desk.resolve(held.action_id, "approved", "fine", Principal("reviewer"))
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: submit(("supervisor-approval", held.action_id)), range(50)))
    assert sorted(status for status, _ in answers) == [200, *[409] * 49]
    assert {kind.rpartition("/")[2] for status, kind in answers if status == 409} == {"approval-used"}
    assert server.ran("enforce") == ["refund -"]


@pytest.mark.parametrize(("mode", "status"), [("shadow", 101), ("enforce", 403)])
def test_a_denied_websocket_is_refused_before_it_is_accepted(server: Server, mode: str, status: int) -> None:
    server.mark(mode)
    with server.connect() as connection:
        _shake(connection, "/ws/closed", mode)
        assert _status(connection) == status
    assert server.ran(mode) == (["socket -"] if mode == "shadow" else [])
    (row,) = server.rows(mode)
    assert (row.action_type, row.would_have or row.outcome) == ("socket", "deny")


@pytest.mark.parametrize("variant", ["bare", "shadow", "enforce"])
def test_an_allowed_websocket_is_served(server: Server, variant: str) -> None:
    server.mark(variant)
    client = WSConnection(ConnectionType.CLIENT)
    with server.connect() as connection:
        connection.sendall(client.send(Handshake(host="testserver", target="/ws/open", extra_headers=[_on(variant)])))
        seen: list[type[Event]] = []
        while CloseConnection not in seen:
            client.receive_data(connection.recv(65_536) or None)
            for event in client.events():
                seen.append(type(event))
                if isinstance(event, AcceptConnection):
                    connection.sendall(client.send(TextMessage("hello")))
                elif isinstance(event, TextMessage):
                    assert event.data == "hello!"
                elif isinstance(event, CloseConnection):
                    connection.sendall(client.send(event.response()))
    assert seen == [AcceptConnection, TextMessage, CloseConnection]
    assert server.ran(variant) == ["socket -"]
    assert [row.action_type for row in server.rows(variant)] == ([] if variant == "bare" else ["watched"])


def _on(variant: str) -> tuple[bytes, bytes]:
    return b"x-variant", variant.encode()


@contextlib.contextmanager
def _desk(server: Server) -> Iterator[ReviewDesk]:
    """The reviewers' desk, on the store that the server uses."""
    supervisor = EmbeddedSupervisor.from_config(GuardConfig(state_dir=str(server.state("enforce"))))
    try:
        yield ReviewDesk(supervisor.store)
    finally:
        supervisor.close()


def _shake(connection: socket.socket, path: str, variant: str) -> None:
    lines = (
        f"GET {path} HTTP/1.1", "host: testserver", "upgrade: websocket", "connection: upgrade",
        "sec-websocket-version: 13", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", f"x-variant: {variant}", "", "",
    )  # fmt: skip
    connection.sendall("\r\n".join(lines).encode())


def _status(connection: socket.socket) -> int:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    return int(received.split(b" ")[1])
