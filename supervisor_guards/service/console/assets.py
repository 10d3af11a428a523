"""The files that pages load: served from the package under a name with the hash of their content, so for ever."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

__all__ = ["path_of", "routes"]

_FOLDER = Path(__file__).parent / "static"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


@cache
def _files() -> dict[str, tuple[str, bytes]]:
    """Hash and content by name."""
    found = {file.name: file.read_bytes() for file in _FOLDER.iterdir() if file.suffix in _KINDS}
    return {name: (hashlib.sha256(content).hexdigest()[:16], content) for name, content in found.items()}


def path_of(name: str) -> str:
    """Where the file `name` is, below the console."""
    return f"/static/{_files()[name][0]}/{name}"


async def _file(request: Request) -> Response:
    name = request.path_params["name"]
    digest, content = _files().get(name, ("", b""))
    if not digest or digest != request.path_params["digest"]:
        raise HTTPException(404)
    return Response(content, headers=_FOR_EVER, media_type=_KINDS[Path(name).suffix])


routes = [Route("/static/{digest}/{name}", _file, methods=["GET"])]
