"""Django on real servers, WSGI and ASGI: what runs was asked about, shadow changes no byte, an end loses nothing."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integrations import contract
from tests.integrations.django_client import written
from tests.integrations.servers import DJANGO, Server, serving
from tests.integrations.test_asgi_routing import PATHS
from tests.integrations.test_asgi_servers import JSON, MAIN, OnServer
from tests.integrations.test_asgi_servers_shadow import Sent

_DATE = re.compile(rb"^date: [^\r]*\r\n", re.IGNORECASE | re.MULTILINE)
MULTIPART = (
    b'--b\r\ncontent-disposition: form-data; name="amount"\r\n\r\n50000\r\n'
    b'--b\r\ncontent-disposition: form-data; name="f"; filename="a.txt"\r\n\r\n' + b"x" * 20_000 + b"\r\n--b--\r\n"
)
REQUESTS = (
    Sent("POST", "/refunds/o-1", b'{"amount": 50000}', JSON),
    Sent("POST", "/refunds/o-1", b'{"amount": ', JSON),
    Sent("POST", "/refunds/o-1", b'{"amount": 1, "x": "%s"}' % (b"y" * 100_000), JSON),
    Sent("POST", "/notes", MULTIPART, [("content-type", "multipart/form-data; boundary=b")]),
    Sent("POST", "/notes", b"x" * 3_000_000, JSON),  # more than Django takes
    Sent("POST", "/upload", b"z" * 500_000),
    Sent("GET", "/stream"),
    Sent("GET", "/astream"),
    Sent("HEAD", "/stream"),
    Sent("GET", "/file"),
    Sent("HEAD", "/file"),
    Sent("GET", "/boom"),
    Sent("GET", "/session"),
    Sent("GET", "/session", headers=[("cookie", "sessionid=" + "x" * 32)]),
    Sent("GET", "/nope"),
    Sent("PUT", "/refunds/o-1"),
    Sent("OPTIONS", "/refunds/o-1"),
    Sent("POST", "/slashed"),
    Sent("GET", "/corpus", headers=[("host", "a/b?c#d@[e")]),
)


OWN_STATUS = {"a redirect": 301}
"""What of `MAIN` Django itself answers otherwise: a missing slash is a permanent redirect."""


class DjangoOnServer(OnServer):
    def label(self, route: str) -> str:
        return written(route)


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("name", MAIN)
def test_a_request_is_answered_and_recorded_as_the_contract_says(django_server: Server, name: str, mode: str) -> None:
    (case,) = (one for one in contract.CASES if one.name == name)
    case = case._replace(status=OWN_STATUS.get(case.name, case.status))
    contract.check(DjangoOnServer(django_server, mode), case, mode)


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_no_way_to_write_a_path_runs_a_view_without_an_evaluation(django_server: Server, mode: str) -> None:
    server = django_server
    paths = [path.replace("/api/refunds", "/corpus/api").replace("/refunds", "/corpus") for path in PATHS]
    paths += ["/rest/a%0Ab", "/rest//x", "/over/%0A", "/over/%2e%2e", "/over/x?%00", "/digits/\u0661", "/digits/1%0A"]
    server.mark(mode)
    for path in paths:
        for method in ("POST", "post", "GET", "HEAD", "PUT", "FOO"):
            server.raw(method, path, mode, headers=[("x-tag", server.tag())])
        server.raw("POST", path, mode, headers=[("x-tag", server.tag()), ("host", "a/b?c#d@[e")])
        server.raw("POST", path, mode, headers=[("x-tag", server.tag()), ("x-http-method-override", "GET")])
    ran = [line.partition(" ")[2] for line in server.ran(mode)]
    judged = [json.loads(row.payload)["x-tag"] for row in server.rows(mode) if row.action_type == "path"]
    assert len(ran) > 50
    assert sorted(ran) == sorted(judged)


@pytest.mark.parametrize("variant", ["shadow", "denying", "raising", "hanging"])
def test_no_byte_of_an_answer_is_changed_in_shadow(django_server: Server, variant: str) -> None:
    def answer(sent: Sent, variant: str) -> bytes:
        return _DATE.sub(b"", django_server.raw(sent.method, sent.target, variant, sent.body, sent.headers))

    for sent in REQUESTS:
        bare = answer(sent, "bare")
        assert bare.startswith(b"HTTP/1.1 "), sent
        assert answer(sent, variant) == bare, sent


def test_what_shadow_would_have_denied_is_recorded(django_server: Server) -> None:
    django_server.mark("denying")
    for sent in REQUESTS:
        django_server.raw(sent.method, sent.target, "denying", sent.body, sent.headers)
    found = [(row.route.partition("/")[2], row.status, row.would_have) for row in django_server.rows("denying")]
    assert len(found) == 14
    # Of the two notes the view, which asks for a form, reads the form; what it would get of the other nobody knows.
    assert [status for route, status, _ in found if route == "notes"] == ["evaluated", "unknown"]
    assert [route for route, _, would_have in found if would_have != "deny"] == ["notes"]


@pytest.mark.parametrize("kind", DJANGO)
def test_a_server_that_is_told_to_end_under_load_ends_and_has_stored_what_it_decided(kind: str, tmp_path: Path) -> None:
    enough, numbers, answered = threading.Event(), itertools.count(), []

    def load(server: Server) -> None:
        while True:
            tag = f"n{next(numbers)}"
            try:
                status, _, _ = server.exchange("POST", "/counted", "enforce", headers=[("x-tag", tag)])
            except (OSError, http.client.HTTPException):
                return  # the server ends
            if status == 200:
                answered.append(tag)
            if len(answered) >= 100:
                enough.set()

    with serving(kind, tmp_path, "server_django") as server, ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(load, server) for _ in range(8)]
        assert enough.wait(60)
        log = server.stop()
        for worker in workers:
            worker.result()
    stored: list[Any] = [json.loads(row.payload or "{}").get("x-tag") for row in server.stored("enforce")]
    ran = [line.split(" ")[2] for line in (tmp_path / "ran").read_text().splitlines()]
    assert set(answered) <= set(ran)
    assert set(ran) <= set(stored), log
