"""Work that a Flask view hands to another process takes along what is known of the request."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from flask import Flask

from supervisor_guards import guarded
from supervisor_guards.context import export_context, restored_context
from supervisor_guards_flask import User
from tests.engine import rows
from tests.integrations import flask_client
from tests.integrations.flask_client import guards, send

POLICY = """
name: all
version: 1
action: export
rules:
  - {id: never, when: "payload.get('never') == 1", action: deny, reason: never}
"""


def test_what_is_done_later_is_done_for_the_sender_of_the_request(tmp_path: Path) -> None:
    app, sent = Flask("carrying"), list[Any]()
    app.add_url_rule("/export", "export", lambda: (sent.append(export_context()), "ok")[1], methods=["POST"])
    values = guards(tmp_path, policy=POLICY, RULES=[], USER_RESOLVER=lambda request: User(request.headers["x-user"]))
    with flask_client.guarded(app, values) as guard:
        assert send(app, "POST", "/export", headers=[("x-user", "u-1")]).status_code == 200

        def later() -> None:
            with app.app_context(), restored_context(sent[0]):
                guarded("export", {}, lambda: None)

        worker = threading.Thread(target=later)
        worker.start()
        worker.join()
        (row,) = rows(guard)
        assert (row.subject, row.route) == ("u-1", "POST /export")
