"""The service's door: people with accounts, by session or by a trusted proxy; they sign in and out here."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from supervisor_guards.service import forms, sessions
from supervisor_guards.service.console.doors import MAX_FORM
from supervisor_guards.service.console.pages import base_of, page
from supervisor_guards.service.console.visitors import Visitor
from supervisor_guards.service.core import Service
from supervisor_guards.service.problems import Problem
from supervisor_guards.service.same_site import check_same_site
from supervisor_guards.service.signing_in import sign_in

__all__ = ["ServiceDoor", "routes"]

SIGN_IN = "/sign-in"


class ServiceDoor:
    """The sessions of the service. They check the tokens of forms themselves, before anybody is anybody."""

    sign_in: str | None = SIGN_IN

    async def visitor(self, request: Request) -> Visitor | None:
        """The person of the session, or whom the proxy names."""
        person = await sessions.principal_of(request)
        if person is None:
            return None
        return Visitor(person.label, person.role, (person.name, *person.known_as))

    async def check_form(self, request: Request, visitor: Visitor) -> None:
        """Nothing is left to check: `visitor` has done it."""

    async def token(self, request: Request, visitor: Visitor) -> str:
        """The session's."""
        return str(await sessions.csrf_token_of(request))

    def leave(self, request: Request, response: Response) -> None:
        """Nothing: the session's cookie is there."""


async def ask(request: Request) -> Response:
    """The page to sign in at; who is signed in goes on."""
    onward = _within(request.query_params.get("next", "/"))
    if await sessions.principal_of(request) is not None:
        return RedirectResponse(base_of(request) + onward, 303)
    return await page(request, "sign_in.html", {"next": onward, "name": "", "problem": None})


async def begin(request: Request) -> Response:
    """Sign in, and go on to where one wanted to be."""
    service: Service = request.app.state.service
    check_same_site(request)
    form = await forms.fields(request, MAX_FORM)
    onward, name = _within(form.get("next", "/")), form.get("name", "")
    try:
        address = service.proxies.address(request.scope)
        _, token = await sign_in(service, name, form.get("password", ""), address)
    except Problem as problem:
        said = {"next": onward, "name": name, "problem": str(problem.detail)}
        return await page(request, "sign_in.html", said, problem.status, problem.headers)
    former = sessions.cookie(request)
    if former is not None:
        await service.reading(service.sessions.end, former)
    response = RedirectResponse(base_of(request) + onward, 303)
    sessions.set_cookie(request, response, token, service.sessions.seconds)
    return response


async def end(request: Request) -> Response:
    """Sign out. A session that is over already is no fault."""
    service: Service = request.app.state.service
    response = RedirectResponse(base_of(request) + SIGN_IN, 303)
    if await sessions.principal_of(request) is not None:
        await service.reading(service.sessions.end, str(sessions.cookie(request)))
        sessions.drop_cookie(request, response)
    return response


def _within(place: str) -> str:
    """A place in the console, and nowhere else."""
    local = place.startswith("/") and not place.startswith("//") and place.isprintable() and "\\" not in place
    return place if local else "/"


routes = [
    Route(SIGN_IN, ask, methods=["GET"]),
    Route(SIGN_IN, begin, methods=["POST"]),
    Route("/sign-out", end, methods=["POST"]),
]
