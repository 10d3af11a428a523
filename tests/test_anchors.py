"""Heads of the chain go where they are told to, and a place that fails costs nothing but a log line."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards import Guard
from supervisor_guards._config import GuardConfig
from supervisor_guards.embedded.anchors import Anchor, read
from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.keys import Keys
from supervisor_guards.embedded.store import Store


def act(tmp_path: Path, place: str, calls: int = 1) -> None:
    guard = Guard(GuardConfig.load({}, state_dir=str(tmp_path / ".supervisor"), anchor=place))
    for _ in range(calls):
        guard.check("refund", {"amount": 1})
    guard.close()


def end(tmp_path: Path) -> Anchor:
    store = Store(f"sqlite:///{tmp_path}/.supervisor/decisions.db")
    anchor = store.anchor()
    store.close()
    assert anchor is not None
    return anchor


def test_lines_are_appended_to_a_private_file(tmp_path: Path) -> None:
    place = tmp_path / "anchors.jsonl"
    act(tmp_path, str(place))
    first = end(tmp_path)
    act(tmp_path, str(place), calls=2)
    assert place.stat().st_mode & 0o777 == 0o600
    anchors = read(place)
    assert (anchors[0], anchors[-1]) == (first, end(tmp_path))
    keys = Keys.load(tmp_path / ".supervisor")
    store = Store(f"sqlite:///{tmp_path}/.supervisor/decisions.db")
    report = store.verify([Sealer(keys.subkey("evidence"), keys.key_id)], anchors)
    store.close()
    assert (report.anchors, report.findings) == (len(anchors), ())


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    place = tmp_path / "anchors.jsonl"
    act(tmp_path, str(place), calls=0)
    assert not place.exists()


def test_the_log_gets_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "supervisor_guards.evidence")
    act(tmp_path, "log")
    lines = [record.getMessage() for record in caplog.records if record.name == "supervisor_guards.evidence"]
    assert json.loads(lines[-1].removeprefix("anchor "))["head"] == end(tmp_path).head


class Webhook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append(body)  # type: ignore[attr-defined]
        self.send_response(self.server.answer)  # type: ignore[attr-defined]
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def webhook() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Webhook)
    server.received, server.answer = [], 204
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_them(tmp_path: Path, webhook: Any) -> None:
    act(tmp_path, f"http://127.0.0.1:{webhook.server_port}/hook/s3cret")
    assert json.loads(webhook.received[-1])["head"] == end(tmp_path).head


def test_a_webhook_that_refuses_is_logged_without_its_path(
    tmp_path: Path, webhook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.answer = 500
    act(tmp_path, f"http://127.0.0.1:{webhook.server_port}/hook/s3cret")
    (record,) = [record for record in caplog.records if record.name == "supervisor_guards.evidence"]
    assert "was not written to 127.0.0.1" in record.getMessage()
    assert "s3cret" not in caplog.text


def test_a_place_that_fails_costs_no_decision(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    act(tmp_path, str(tmp_path / "nowhere" / "anchors.jsonl"))
    assert "was not written to" in caplog.text
    assert end(tmp_path).segment == 1
