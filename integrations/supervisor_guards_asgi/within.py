"""What a plain guard inside an endpoint is told of its request. Worked out when one asks: most requests have none."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, MutableMapping
from typing import Any

from starlette.requests import HTTPConnection

from supervisor_guards.errors import GuardError
from supervisor_guards.web import UNKNOWN, Body, User, approvals
from supervisor_guards_asgi.facts import UserResolver, checked_user, facts_of, header_values
from supervisor_guards_asgi.routing import Resolution, resolve

_APPROVAL = b"supervisor-approval"


class Within:
    """Stands for `RequestFacts` and for the engine's own facts: both are read by attribute only."""

    __slots__ = ("_app", "_made", "_root_path", "_scope", "_user")

    def __init__(self, scope: MutableMapping[str, Any], app: Any, user: UserResolver) -> None:
        self._scope = scope
        self._app = app
        self._root_path = scope.get("root_path", "")  # mounts change it on their way
        self._user = user
        self._made: Any = None

    def approvals(self) -> tuple[str, ...]:
        """The approvals that the request brings; a header that can't be read brings none."""
        values = header_values(self._scope, _APPROVAL)
        try:
            return approvals(values) if values else ()
        except GuardError:
            return ()

    def engine_facts(self) -> Within:
        return self

    @property
    def subject(self) -> str | None:
        return self._facts().subject  # type: ignore[no-any-return]

    @property
    def route(self) -> str | None:
        return self._facts().route  # type: ignore[no-any-return]

    @property
    def request(self) -> MutableMapping[str, Any] | None:
        return self._facts().request  # type: ignore[no-any-return]

    @property
    def tenant(self) -> str | None:
        return self._facts().tenant  # type: ignore[no-any-return]

    def _facts(self) -> Any:
        if self._made is None:
            scope = {**self._scope, "root_path": self._root_path, "path_params": {}}
            resolution: Resolution = resolve(self._app, scope)
            self._made = facts_of(self._scope, resolution, Body("unread"), self._sender()).engine_facts()
        return self._made

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
