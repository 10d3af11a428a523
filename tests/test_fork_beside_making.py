"""A fork while another thread makes a guard, or opens its first connection: the child asks, and hangs at nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from supervisor_guards import Guard, GuardConfig, _default, supervised
from supervisor_guards.config import reset_for_tests
from supervisor_guards.remote.pools import Pools
from supervisor_guards.web import provide_guard
from supervisor_guards_flask import SupervisorGuards
from supervisor_guards_flask import application as flask_application
from tests.remote.peers import PlainService
from tests.remote.serving import by_amount, guarded_by

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


class Slow:
    """Stands in front of `make`: the first caller waits there until `go`."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self.inside = threading.Event()
        self.go = threading.Event()

    def __call__(self, *args: Any) -> Any:
        first = not self.inside.is_set()
        self.inside.set()
        if first:
            self.go.wait()
        return self._make(*args)


def forked_beside(act: Callable[[], Any], slow: Slow) -> tuple[Any, int]:
    """What `act` returns in a thread that is inside `slow`, and how a child ended that was forked meanwhile."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()
    slow.inside.wait()
    try:
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            status = 1
            try:
                status = 0 if act() == "done" else 1
            finally:
                os._exit(status)
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        slow.go.set()
        thread.join()
    return found[0], ended


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    reset_for_tests()
    yield tmp_path
    provide_guard(None)
    reset_for_tests()


def test_the_default_guard(folder: Path) -> None:
    slow = Slow(lambda: Guard(GuardConfig()))
    provide_guard(slow, GuardConfig)
    assert forked_beside(supervised("refund")(lambda: "done"), slow) == ("done", 0)


def test_the_guard_of_a_flask_application(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Flask("forked")
    app.config["SUPERVISOR_GUARDS"] = {"RULES": [{"route": "POST /refund", "action": "refund"}]}
    app.add_url_rule("/refund", "refund", lambda: "done", methods=["POST"])
    extension = SupervisorGuards(app)
    slow = Slow(flask_application.make_guard)
    monkeypatch.setattr(flask_application, "make_guard", slow)
    assert forked_beside(lambda: app.test_client().post("/refund").text, slow) == ("done", 0)
    extension.close(app)


def test_the_first_connection_to_a_service(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(Pools.open_line)
    monkeypatch.setattr(Pools, "open_line", lambda pools: slow(pools))
    with PlainService(by_amount) as peer, guarded_by(peer.base_url):
        assert _default.made() is not None
        assert forked_beside(supervised("refund")(lambda amount=1: "done"), slow) == ("done", 0)
