"""What a plain guard inside an endpoint is told of its request. Worked out when one asks: most requests have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from supervisor_guards._context import Facts


class LazyFacts:
    """Stands for `RequestFacts` and for the engine's own facts: both are read by attribute only.

    `make` is called once, by the first guard that asks.
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Facts]) -> None:
        self._make = make
        self._made: Facts | None = None

    def engine_facts(self) -> Any:
        return self

    @property
    def subject(self) -> str | None:
        return self._facts().subject

    @property
    def route(self) -> str | None:
        return self._facts().route

    @property
    def request(self) -> Mapping[str, Any] | None:
        return self._facts().request

    @property
    def tenant(self) -> str | None:
        return self._facts().tenant

    def _facts(self) -> Facts:
        if self._made is None:
            self._made = self._make()
        return self._made
