"""How a page is made: the templates, what each of them has, and the headers that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread
import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from supervisor_guards.service.console import assets, wording

__all__ = ["HEADERS", "base_of", "fragment", "page"]

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Without one a browser says of a form that it comes from nowhere (`Origin: null`).
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters.update(
    legible=wording.text, word=wording.word, mark=wording.mark, utc=wording.utc, iso=wording.iso, many=wording.many,
    percent=wording.percent, milliseconds=wording.milliseconds, path=wording.path,
)  # fmt: skip
_templates.globals.update(plain=wording.plain, worded=wording.worded)


def base_of(request: Request) -> str:
    """Where the console is mounted; "" at the root."""
    base: str = request.scope.get("root_path", "")
    return base.rstrip("/")


async def page(
    request: Request,
    template: str,
    values: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The page of `template`. Beside `values` it has `base`, `asset`, and `visitor` (None unless it is in `values`)."""
    text = await anyio.to_thread.run_sync(fragment, request, template, values)
    return HTMLResponse(text, status, {**HEADERS, **(headers or {})})


def fragment(request: Request, template: str, values: Mapping[str, Any]) -> str:
    """The text of `template`; long ones take a while, so off the event loop."""
    base = base_of(request)
    common = {"base": base, "asset": lambda name: base + assets.path_of(name), "visitor": None, "here": ""}
    return _templates.get_template(template).render({**common, **values})
