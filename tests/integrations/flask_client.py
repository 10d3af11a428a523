"""Flask applications with a guard of their own, and a client that speaks to them as a WSGI server does."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import BadRequest

from supervisor_guards_flask import SupervisorGuards
from tests.integrations import contract
from tests.integrations.in_process import Site, sender, wsgi


def written(route: str) -> str:
    """A rule's route as Flask writes it."""
    return route.replace("{number:int}", "<int:number>").replace("{", "<").replace("}", ">")


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


def contract_app(ran: list[str], saw: list[contract.Seen] | None = None) -> Flask:
    """The contract's routes: each view notes its name, and what it got."""
    app = Flask("contract")
    for route in contract.ROUTES:
        view = _view(route, ran, [] if saw is None else saw)
        app.add_url_rule(written(route.template), route.name, view, methods=[route.method], strict_slashes=True)
    return app


def send(app: Flask, method: str, path: str, body: bytes = b"", headers: Any = (), **environ: Any) -> Response:
    """The answer of `app`, read and closed. An error of a view is an answer too."""
    client = app.test_client()
    response = client.open(path, method=method, data=body, headers=list(headers), environ_overrides=environ)
    response.get_data()
    response.close()
    return response


@contextlib.contextmanager
def harness(folder: Path, mode: str) -> Iterator[Site]:
    """The contract's application behind the extension."""
    saw: list[contract.Seen] = []
    app = contract_app([], saw)
    with guarded(app, guards(folder, mode, USER_RESOLVER=_sender)) as guard:
        yield Site(guard, saw, functools.partial(wsgi, app), label=written)


def _sender(request: Any) -> Any:
    return sender(request.headers)


def _view(route: contract.RouteOf, ran: list[str], saw: list[contract.Seen]) -> Any:
    def view(**kwargs: Any) -> str:
        body = form = contract.UNREAD
        raw = request.get_data()
        if route.reads == "json":
            with contextlib.suppress(BadRequest, RecursionError):
                body = request.get_json(force=True)
        if route.reads == "form" or (route.reads == "json" and body is contract.UNREAD and raw):
            form = request.form.to_dict()
        if route.reads == "json" and body is contract.UNREAD and form:
            body = form
        ran.append(route.name)
        saw.append(contract.Seen(route.name, kwargs, request.args.to_dict(), body, form))
        return route.name

    return view
