"""One request of somebody who may see the console, and what its handler works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from supervisor_guards.service import forms
from supervisor_guards.service.console import pages
from supervisor_guards.service.console.doors import MAX_FORM, Door
from supervisor_guards.service.console.sources import Source
from supervisor_guards.service.console.visitors import Visitor

__all__ = ["Visit"]

T = TypeVar("T")


class Visit(msgspec.Struct, frozen=True):
    """Who asks, of what source, and how they are answered."""

    request: Request
    source: Source
    door: Door
    visitor: Visitor

    @property
    def asked(self) -> Mapping[str, str]:
        """The parameters of the address that say something."""
        return {name: value for name, value in self.request.query_params.items() if value.strip()}

    async def form(self) -> Mapping[str, str]:
        """The fields that were sent."""
        return await forms.fields(self.request, MAX_FORM)

    async def reading(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """`call(...)`, which blocks, in a worker thread."""
        return await self.source.reading(call, *args, **kwargs)

    async def page(
        self, template: str, values: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """The page of `template`, with the way around for this visitor."""
        token = await self.door.token(self.request, self.visitor)
        leaves = self.door.sign_in is not None
        sections = [one for one in self.source.sections if self.visitor.at_least(one[3])]
        common = {"visitor": self.visitor, "token": token, "signs_out": leaves, "sections": sections}
        response = await pages.page(self.request, template, {**common, **values}, status, headers)
        self.door.leave(self.request, response)
        return response

    def to(self, place: str) -> Response:
        """On to a place in the console, which is then asked for with GET."""
        return RedirectResponse(pages.base_of(self.request) + place, 303, pages.HEADERS)
