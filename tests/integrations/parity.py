"""Every way to guard the contract's application, by the name that the matrix gives it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.integrations import asgi_sites, django_client, flask_client
from tests.integrations.in_process import Site

_DJANGO = {
    "Django, WSGI": "wsgi",
    "Django, ASGI": "asgi",
    "Django, ASGI, threads": "asgi with views in threads",
    "REST framework, rules": "rest framework",
    "REST framework, views": django_client.INSIDE,
}
SITES: dict[str, Callable[[Path, str], AbstractContextManager[Site]]] = {
    **asgi_sites.SITES,
    **{name: functools.partial(django_client.harness, stack) for name, stack in _DJANGO.items()},
    "Flask": flask_client.harness,
}
