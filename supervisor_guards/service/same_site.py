"""Whether a request comes from a page of ours, as browsers tell it."""

from __future__ import annotations

from starlette.requests import Request

from supervisor_guards.service.problems import Problem

__all__ = ["check_same_site"]


def check_same_site(request: Request) -> None:
    """Raises `Problem` 403 for a request that another site's page makes a browser send.

    Browsers tell where a request is from (Fetch Metadata), older ones whose page it is (Origin, RFC 6454). A program
    tells neither.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = origin is None or origin.partition("://")[2].lower() == request.headers.get("host", "").lower()
    if not ours:
        raise Problem(403, "the request comes from a page of another site: send it from one of this service")
