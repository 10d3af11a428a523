"""A PostgreSQL server whose machine is gone without a word is given up, by everything that is connected to it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from supervisor_guards.embedded import opening
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.store import Store


@pytest.mark.parametrize(("said", "idle"), [("", "10"), ("&keepalives_idle=77", "77")])
def test_a_connection_finds_out_unless_the_url_says_when(postgres_cluster: Any, said: str, idle: str) -> None:
    with postgres_cluster.database() as url:
        engine = opening.connect(opening.parse(url + said))
        try:
            with engine.connect() as held:
                driver: Any = held.connection.driver_connection
                given = driver.info.get_parameters()
        finally:
            engine.dispose()
    names = ("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
    assert [given[name] for name in names] == ["10", idle, "5", "3", "30000"]


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(server.accept()[0])

        thread = threading.Thread(target=take)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for one in kept:
        one.close()


def test_a_server_that_says_nothing_is_given_up() -> None:
    with silent() as port, pytest.raises(StoreUnavailable, match="timeout"):
        Store(f"postgresql://tester@127.0.0.1:{port}/guards")
