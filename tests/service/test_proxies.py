"""Who a trusted proxy says it is, and that nobody else can say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor_guards.service.proxies import Proxies, identity
from tests.service.doors import Browser, person
from tests.service.serving import Running, serving


@pytest.fixture
def behind(service_url: str, tmp_path: Path) -> Iterator[Running]:
    """A process of the service behind a proxy, which these tests are."""
    settings = {"trusted_proxies": ("127.0.0.0/8",), "identity_header": "X-Forwarded-User"}
    with serving(service_url, tmp_path / "state", **settings) as running:
        yield running


def test_a_proxy_trusted_for_addresses_names_nobody(service_url: str, tmp_path: Path) -> None:
    """Else every program on the machine of a proxy could be anybody."""
    with serving(service_url, tmp_path / "state", trusted_proxies=("127.0.0.0/8",)) as running:
        who = person(running, "administrator", password=None)
        with Browser(running, **{"x-forwarded-user": who.name}) as browser:
            assert browser.get("/v1/session").status_code == 401
            assert browser.get("/v1/tokens").status_code == 401
        assert not running.service.proxies.names_people


def test_whom_a_trusted_proxy_names_is_who_calls(behind: Running) -> None:
    who = person(behind, "administrator", password=None)
    with Browser(behind, **{"x-forwarded-user": who.name.upper()}) as browser:
        told = browser.get("/v1/session").json()
        assert told["person"] == {"id": who.id, "name": who.name, "role": "administrator", "via": "proxy"}
        assert browser.post("/v1/tokens", json={"label": "t"}).status_code == 403
        browser.headers["x-csrf-token"] = told["csrf_token"]
        assert browser.post("/v1/tokens", json={"label": "t"}).status_code == 201
        foreign = browser.post("/v1/tokens", json={"label": "t"}, headers={"sec-fetch-site": "cross-site"})
        assert foreign.status_code == 403
        behind.service.people.create("another", "administrator", "tests")
        behind.service.people.disable(who.id, "tests")
        assert browser.get("/v1/session").status_code == 403


def test_names_without_an_account_are_refused(behind: Running) -> None:
    with Browser(behind) as browser:
        told = browser.get("/v1/session", headers={"x-forwarded-user": "mallory"})
        assert (told.status_code, "'mallory' has no account here" in told.json()["detail"]) == (403, True)
        assert browser.get("/v1/session", headers={"x-forwarded-user": ""}).status_code == 400
        twice = [("x-forwarded-user", "alice"), ("x-forwarded-user", "bob")]
        assert browser.get("/v1/session", headers=twice).status_code == 400
        assert browser.get("/v1/session", headers={"x-forwarded-user": "\u00ff".encode("latin-1")}).status_code == 403
        assert browser.get("/healthz", headers={"x-forwarded-user": "mallory"}).status_code == 200


def test_an_application_behind_the_proxy_is_not_taken_for_a_person(behind: Running) -> None:
    caller = behind.integration()
    who = person(behind)
    with caller.client(behind.base_url) as http:
        assert http.get("/v1/actions/recent").status_code == 200
        assert http.get("/v1/actions/recent", headers={"x-forwarded-user": who.name}).status_code == 400


@pytest.mark.parametrize(
    ("peer", "believed"),
    [
        (("10.1.2.3", 1), True),
        (("::ffff:10.1.2.3", 1), True),
        (("2001:db8::7", 1), True),
        (("192.168.0.1", 1), False),
        (("2001:db9::7", 1), False),
        (("unix", 1), False),
        (None, False),
    ],
)
def test_the_header_is_gone_whoever_sent_it(peer: tuple[str, int] | None, believed: bool) -> None:
    """What comes after this, a log for instance, can't take it for the truth."""
    proxies = Proxies(("10.0.0.0/8", "2001:db8::/32"), "X-Who")
    scope = {"type": "http", "client": peer, "headers": [(b"x-who", b"alice"), (b"host", b"a")]}
    proxies.believe(scope)
    assert scope["headers"] == [(b"host", b"a")]
    assert identity(scope) == (("alice",) if believed else ())


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "1.1.1.1, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("10.0.0.1", "1.1.1.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("192.0.2.9", "1.1.1.1", "192.0.2.9"),
        ("2001:db8::5", None, "2001:db8::/64"),
        ("::ffff:192.0.2.9", None, "192.0.2.9"),
        (None, "1.1.1.1", ""),
    ],
)
def test_where_a_request_comes_from(peer: str | None, forwarded: str | None, address: str) -> None:
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    scope = {"type": "http", "client": None if peer is None else (peer, 1), "headers": headers}
    assert Proxies(("10.0.0.0/8",), "X-Who").address(scope) == address
