"""Flask applications with a guard of their own, and a client that speaks to them as a WSGI server does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from supervisor_guards_flask import SupervisorGuards
from tests.integrations import contract


def written(route: str) -> str:
    """A rule's route as Flask writes it."""
    return route.replace("{", "<").replace("}", ">")


def guards(folder: Path, mode: str = "enforce", policy: str = contract.POLICY, **changes: Any) -> dict[str, Any]:
    """A `SUPERVISOR_GUARDS` whose parts are all in `folder`, with the contract's rules."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "supervisor.yaml").write_text(policy)
    return {
        "MODE": mode,
        "POLICY": str(folder / "supervisor.yaml"),
        "STATE_DIR": str(folder / ".supervisor"),
        "RULES": [{**rule, "route": written(rule["route"])} for rule in contract.RULES],
        **changes,
    }


@contextlib.contextmanager
def guarded(app: Flask, settings: dict[str, Any]) -> Iterator[Any]:
    """`app` with the extension; its guard, which is closed afterwards."""
    app.config["SUPERVISOR_GUARDS"] = settings
    extension = SupervisorGuards(app)
    try:
        yield extension.guard(app)
    finally:
        extension.close(app)


def contract_app(ran: list[str]) -> Flask:
    """The contract's routes: each view reads the whole body and notes its name."""
    app = Flask("contract")
    for route in contract.ROUTES:
        app.add_url_rule(
            written(route.template), route.name, _view(route.name, ran), methods=[route.method], strict_slashes=True
        )
    return app


def send(app: Flask, method: str, path: str, body: bytes = b"", headers: Any = (), **environ: Any) -> Response:
    """The answer of `app`, read and closed. An error of a view is an answer too."""
    client = app.test_client()
    response = client.open(path, method=method, data=body, headers=list(headers), environ_overrides=environ)
    response.get_data()
    response.close()
    return response


class FlaskHarness:
    """The contract's routes in an application."""

    def __init__(self, app: Flask, guard: Any, ran: list[str]) -> None:
        self.app = app
        self.guard = guard
        self.ran = ran

    def send(self, case: contract.Case) -> contract.Answer:
        answer = send(self.app, case.method, case.path, case.body, case.headers)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return contract.Answer(answer.status_code, headers, answer.data)

    def label(self, route: str) -> str:
        return written(route)


def _view(name: str, ran: list[str]) -> Any:
    def view(**kwargs: Any) -> str:
        request.get_data()
        ran.append(name)
        return name

    return view
