"""Every page and form of the service's console against everybody: `principals.ROWS`, and nothing left out."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request

from supervisor_guards import GuardConfig
from supervisor_guards._guard import Guard
from supervisor_guards.service.acts import Act, find
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.console import Visitor, console
from supervisor_guards.service.console.mounted import service_console
from supervisor_guards.service.core import Service
from supervisor_guards.service.vault import edition
from supervisor_guards.service.webhooks.redelivery import send_test
from tests.console.principals import CALLERS, ROWS, Row
from tests.console.scene import Scene, scene
from tests.console.visiting import csrf, signed_in
from tests.service.doors import person
from tests.service.serving import PATIENCE, new_name

FORMS = [row for row in ROWS if row.method == "POST"]


class Cast:
    """Everybody, each with a browser, and what the pages are about."""

    def __init__(self, shown: Scene, browsers: dict[str, httpx.Client]) -> None:
        self.shown = shown
        self.browsers = browsers
        self.tokens = {who: csrf(http.get("/")) for who, http in browsers.items() if who != "nobody"}
        service = shown.running.service
        self._webhook = ""
        self._service = service

    def send(self, row: Row, who: str, headers: dict[str, str] | None = None, token: str | None = None) -> int:
        """The status of one request, for things that were made for it."""
        made = self._made(row)
        # The whole path of an id that may hold slashes is one step here.
        path = row.path.replace(":path}", "}").format(**made)
        fields = {name.format(**made): value.format(**made) for name, value in row.form().items()}
        if token is None:
            token = self.tokens.get(who, "")
        data = {**fields, "csrf_token": token} if row.method == "POST" else None
        # A stream goes on: its beginning is the answer.
        with self.browsers[who].stream(row.method, path, data=data, headers=headers) as answer:
            return answer.status_code

    def acts_of(self, who: str) -> list[Act]:
        """What they did, as the record has it."""
        with self._service.store.reading() as held:
            return find(held, 10, by=self.shown.people[who])

    def _made(self, row: Row) -> dict[str, str]:
        """What stands in the braces of a row's path, and of its form, each new."""
        service, path = self._service, row.path
        made: dict[str, str] = {}
        if "{action_id" in path or path == "/reject":
            made["action_id"] = self.shown.ask(60, number=new_name("q"))["id"]
        if "{policy_id" in path:
            made["policy_id"] = self.shown.new_policy()
        if "{integration_id" in path:
            integration, _ = service.integrations.create(new_name("shop"), ["*"], "tests")
            made |= {"integration_id": integration.id, "edition": edition(integration.secret)}
        if "{person_id" in path:
            made["person_id"] = person(self.shown.running).id
        if "{webhook_id" in path:
            if self._webhook:  # only so many may be active
                with contextlib.suppress(LookupError):
                    service.subscriptions.disable(self._webhook, "tests")
            # An address for documentation (RFC 5737): nothing is ever sent there.
            webhook, _ = service.subscriptions.create("https://203.0.113.7/", ["threat.detected"], "tests")
            self._webhook = webhook.id
            made |= {"webhook_id": webhook.id, "edition": edition(webhook.secret)}
            if "{delivery_id" in path:
                made["delivery_id"] = send_test(service.store, webhook, "tests").name
        return made


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    with contextlib.ExitStack() as stack:
        shown = stack.enter_context(scene(tmp_path_factory.mktemp("principals")))
        browsers = {who: stack.enter_context(signed_in(shown, who)) for who in CALLERS if who != "nobody"}
        nobody = httpx.Client(base_url=shown.address, trust_env=False, timeout=PATIENCE)
        yield Cast(shown, {**browsers, "nobody": stack.enter_context(nobody)})


def _named(row: Row) -> str:
    return f"{row.method} {row.path}"


def test_every_page_is_in_the_table() -> None:
    assert sorted(_named(row) for row in ROWS) == sorted(
        f"{method} {path}" for path, method, _ in service_console().pages
    )


@pytest.mark.parametrize("row", ROWS, ids=_named)
def test_each_cell(cast: Cast, row: Row) -> None:
    assert {who: cast.send(row, who) for who in CALLERS} == dict(zip(CALLERS, row.cells, strict=True))


@pytest.mark.parametrize("row", FORMS, ids=_named)
def test_no_other_site_can_send_a_form(cast: Cast, row: Row) -> None:
    stranger = cast.tokens["reviewer"]
    attempts = [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}]
    answers = [cast.send(row, "administrator", headers) for headers in attempts]
    answers += [cast.send(row, "administrator", token=token) for token in ("", "0" * 64, stranger)]
    assert answers == [403] * 6


@pytest.mark.parametrize("row", [row for row in FORMS if row.path.startswith("/administration")], ids=_named)
def test_who_may_not_leaves_nothing_behind(cast: Cast, row: Row) -> None:
    for who in ("viewer", "reviewer"):
        before = cast.acts_of(who)
        assert cast.send(row, who) == 403
        assert cast.acts_of(who) == before


@pytest.mark.parametrize("of", ["guard", "service"])
def test_a_console_in_another_application_administers_nothing(of: str, tmp_path: Path) -> None:
    def alex(_request: Request) -> Visitor:
        return Visitor("alex", "administrator")

    async def look(opened: Guard | Service) -> None:
        made = httpx.ASGITransport(console(opened, authenticate=alex))
        async with httpx.AsyncClient(transport=made, base_url="http://localhost", timeout=PATIENCE) as http:
            links = re.findall(r'<li><a href="([^"]*)"', (await http.get("/")).text)
            assert {(await http.get(link)).status_code for link in links} == {200}
            for row in ROWS:
                if row.path.startswith(("/administration", "/policies")):
                    assert (await http.get(row.path)).status_code == 404

    async def serve() -> None:
        service = Service(ServiceConfig.load({}, state_dir=str(tmp_path / "state")))
        await service.start()
        try:
            await look(service)
        finally:
            await service.stop()

    if of == "service":
        asyncio.run(serve())
        return
    guard = Guard(GuardConfig(state_dir=str(tmp_path / "state")))
    try:
        asyncio.run(look(guard))
    finally:
        guard.close()
