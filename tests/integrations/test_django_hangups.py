"""A client that hangs up while its request is judged: under ASGI nothing runs any more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integrations.servers import Server, message, serving
from tests.remote.peers import OurService

VIEWS = {
    "on the loop": "/counted",
    "in a thread": "/corpus",
    "decorated": "/decorated",
    "decorated, on the loop": "/adecorated",
    "of REST framework": "/permitted",
}
IN_THREADS = ("decorated", "of REST framework")
"""Views that ask in the thread that runs them."""
CASES = [
    (view, stack)
    for view in VIEWS
    for stack in ("loop", "outside", "inside")
    # There the middleware runs in that very thread, and hears of nothing before it ends.
    if (view in IN_THREADS, stack) != (True, "inside")
]


def judging(service: OurService) -> int:
    """How often it was asked to judge; it is told as well how actions ended, some time after."""
    return sum(request.path.startswith("/v1/actions/evaluate") for request in list(service.requests))


@pytest.fixture(scope="module")
def service() -> Iterator[OurService]:
    with OurService() as one:
        yield one


@pytest.fixture(scope="module", params=["uvicorn-h11", "hypercorn"])
def server(
    request: pytest.FixtureRequest, service: OurService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "service").write_text(service.base_url)
    with serving(request.param, folder, "server_django_remote") as one:
        yield one


@pytest.mark.parametrize(("view", "stack"), CASES)
def test_a_client_that_leaves_while_it_is_judged_leaves_nothing_to_run(
    server: Server, service: OurService, view: str, stack: str
) -> None:
    server.mark(stack)
    tag = server.tag()
    assert server.exchange("POST", VIEWS[view], stack, headers=[("x-tag", tag)])[0] == 200
    assert len(server.ran(stack)) == 1
    asked = judging(service)
    service.hold()
    try:
        with server.connect() as connection:
            connection.sendall(message("POST", VIEWS[view], stack, headers=[("x-tag", server.tag())]))
            service.wait_for(lambda: judging(service) > asked)
        server.control("/left")
        for _ in range(50):  # the news travels on, through Django's threads, before the verdict comes
            server.control("/turn")
    finally:
        service.release()
    assert server.ran(stack) == [f"plain {tag}"]


def test_who_stays_is_served(server: Server, service: OurService) -> None:
    server.mark("loop")
    service.hold()
    asked = judging(service)
    with server.connect() as connection:
        connection.sendall(message("POST", "/counted", "loop", headers=[("x-tag", "stays")]))
        service.wait_for(lambda: judging(service) > asked)
        service.release()
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
    assert server.ran("loop") == ["plain stays"]
