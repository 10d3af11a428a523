"""What a plain guard inside an endpoint is told of its request. Worked out when one asks: most requests have none."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, MutableMapping
from typing import Any

from starlette.requests import HTTPConnection

from supervisor_guards.errors import GuardError
from supervisor_guards.web import UNKNOWN, Body, LazyFacts, User, approvals, checked_user
from supervisor_guards_asgi.facts import UserResolver, facts_of, header_values
from supervisor_guards_asgi.routing import Resolution, resolve

_APPROVAL = b"supervisor-approval"


class Within(LazyFacts):
    """The facts of one request, and the approvals it brings."""

    __slots__ = ("_app", "_root_path", "_scope", "_user")

    def __init__(self, scope: MutableMapping[str, Any], app: Any, user: UserResolver) -> None:
        super().__init__(self._of_request)
        self._scope = scope
        self._app = app
        self._root_path = scope.get("root_path", "")  # mounts change it on their way
        self._user = user

    def approvals(self) -> tuple[str, ...]:
        """The approvals that the request brings; a header that can't be read brings none."""
        values = header_values(self._scope, _APPROVAL)
        try:
            return approvals(values) if values else ()
        except GuardError:
            return ()

    def _of_request(self) -> Any:
        scope = {**self._scope, "root_path": self._root_path, "path_params": {}}
        resolution: Resolution = resolve(self._app, scope)
        return facts_of(self._scope, resolution, Body("unread"), self._sender()).engine_facts()

    def _sender(self) -> User:
        """The user, from a resolver that needs no waiting; one that does can't be asked from here."""
        try:
            found = self._user(HTTPConnection(self._scope))
            if isinstance(found, Coroutine):
                found.close()
            if isinstance(found, Awaitable):
                return UNKNOWN
            return checked_user(found)
        except Exception:
            return UNKNOWN
