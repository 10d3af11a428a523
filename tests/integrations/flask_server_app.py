"""The application that gunicorn serves in the tests: enforced, with its parts in the folder of the environment."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from supervisor_guards_flask import SupervisorGuards, User
from tests.integrations import contract
from tests.integrations.flask_client import guards, written

FOLDER = Path(os.environ["FLASK_SERVER_FOLDER"])


def note(name: str) -> None:
    with (FOLDER / "ran").open("a") as file:
        file.write(f"{name}\n")


def view(name: str) -> Any:
    def run(**kwargs: Any) -> str:
        request.get_data()
        note(name)
        return name

    return run


def parts() -> Iterator[bytes]:
    """More than the buffers between here and a client that has left."""
    try:
        for _ in range(200_000):
            yield b"x" * 65_536
    finally:
        note("closed")


def create_app() -> Flask:
    app = Flask("served")
    app.config["SUPERVISOR_GUARDS"] = guards(
        FOLDER,
        os.environ.get("FLASK_SERVER_MODE", "enforce"),
        contract.POLICY.replace("action: report", "action: [report, stream]"),
        USER_RESOLVER=lambda request: User(request.headers.get("x-user", "nobody")),
    )
    app.config["SUPERVISOR_GUARDS"]["RULES"].append(
        {"route": "stream", "action": "stream", "payload": ["query.page:integer"]}
    )
    extension = SupervisorGuards(app)
    for route in contract.ROUTES:
        app.add_url_rule(written(route.template), route.name, view(route.name), methods=[route.method])
    app.add_url_rule("/stream", "stream", lambda: Response(parts()), methods=["GET"])

    @app.get("/flush")
    def flush() -> dict[str, Any]:
        """Everything that this worker has decided is stored, results too."""
        deadline = time.monotonic() + 30
        while not (done := extension.guard(app).flush()) and time.monotonic() < deadline:
            pass
        return {"flushed": done}

    return app


app = create_app()
