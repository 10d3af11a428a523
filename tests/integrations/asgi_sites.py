"""The ways in which the ASGI adapter guards the contract's application."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.integrations import fastapi_validated
from tests.integrations.asgi_apps import MAKERS, harness
from tests.integrations.in_process import Site

SITES: dict[str, Callable[[Path, str], AbstractContextManager[Site]]] = {
    "Starlette": functools.partial(harness, MAKERS["starlette"]),
    "FastAPI": functools.partial(harness, MAKERS["fastapi"]),
    "FastAPI, decorated": fastapi_validated.harness,
}
