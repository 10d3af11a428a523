"""A browser without scripts, at the service's console: what it sends, and what its pages hold."""

from __future__ import annotations

import contextlib
import html
import re
from collections.abc import Iterator

import httpx

from tests.console.scene import Scene
from tests.service.doors import PASSWORD
from tests.service.serving import PATIENCE


@contextlib.contextmanager
def signed_in(shown: Scene, role: str) -> Iterator[httpx.Client]:
    """A browser in which somebody of this role is signed in."""
    with httpx.Client(base_url=shown.address, trust_env=False, timeout=PATIENCE) as http:
        form = {"name": shown.people[role], "password": PASSWORD, "next": "/policies"}
        assert http.post("/sign-in", data=form).headers["location"] == "/console/policies"
        yield http


def csrf(page: httpx.Response) -> str:
    """What the page's forms send."""
    found = re.search(r'name="csrf_token" value="(\w+)"', page.text)
    assert found, page.text
    return found[1]


class Forms:
    """Forms that somebody sends."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self._token = csrf(http.get("/"))

    def send(self, place: str, **fields: str) -> httpx.Response:
        """The answer to the form at `place`; where it sends the browser on, that page."""
        answer = self.http.post(place, data={"csrf_token": self._token, **fields})
        if answer.status_code != 303:
            return answer
        return self.http.get(answer.headers["location"].removeprefix("/console"))

    def confirmed(self, place: str, **fields: str) -> httpx.Response:
        """The same, once its tick is set."""
        asking = self.send(place, **fields)
        assert asking.status_code == 200, asking.text
        assert 'name="sure"' in asking.text
        return self.send(place, **hidden(asking), sure="yes")


@contextlib.contextmanager
def administering(shown: Scene) -> Iterator[Forms]:
    """The forms of an administrator."""
    with signed_in(shown, "administrator") as http:
        yield Forms(http)


def hidden(page: httpx.Response) -> dict[str, str]:
    """What the page's forms send unseen, but for the token."""
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text)
    return {name: html.unescape(value) for name, value in found if name != "csrf_token"}


def copied(page: httpx.Response) -> str:
    """What a page that is shown once has to copy."""
    found = re.search(r'aria-label="The secret">([^<]*)</pre>', page.text)
    assert found, page.text
    return html.unescape(found[1])


def fault(page: httpx.Response, field: str) -> str:
    """What is said at a field that was refused; the field says that it is about it."""
    found = re.search(rf'id="fault-{field}">([^<]*)</p>', page.text)
    assert found, page.text
    assert f'aria-describedby="fault-{field}' in page.text
    return html.unescape(found[1])
