"""People sign in, work in a browser, and are signed out: by themselves, by time, and by administrators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from supervisor_guards.service.schema import people, sessions
from supervisor_guards.service.sessions import COOKIE, SECURE_COOKIE
from supervisor_guards.service.vault import hashed
from tests.service.doors import PASSWORD, Browser, acts, person, quick
from tests.service.serving import Running, serving, two_processes


@pytest.fixture
def browser(running: Running) -> Iterator[Browser]:
    with Browser(running) as client:
        yield client


def test_signing_in_and_out(running: Running, browser: Browser) -> None:
    who = person(running, "reviewer")
    told = browser.sign_in(f" {who.name.upper()} ")  # however they write their name
    assert told.status_code == 200
    assert told.json()["person"] == {"id": who.id, "name": who.name, "role": "reviewer", "via": "session"}
    found = browser.get("/v1/session").json()
    assert (found["person"]["id"], found["csrf_token"]) == (who.id, told.json()["csrf_token"])
    cookie = browser.cookies[COOKIE]
    assert browser.delete("/v1/session").json() == {"status": "signed out"}
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, cookie)
    assert not browser.signed_in
    assert [what for _, what in acts(running.service, f"person:{who.id}")][1:] == [
        "signed in from 127.0.0.1",
        "signed out",
    ]


def test_of_a_session_only_the_hash_is_stored(running: Running, browser: Browser) -> None:
    who = person(running)
    browser.sign_in(who.name)
    with running.service.store.reading() as held:
        stored = held.execute(select(sessions.c.hash).where(sessions.c.person_id == who.id)).scalars().all()
    assert stored == [hashed(browser.cookies[COOKIE])]


@pytest.mark.parametrize(
    ("headers", "name", "secure"),
    [
        ({}, COOKIE, False),
        ({"host": "localhost:8787"}, COOKIE, False),
        ({"host": "guards.example"}, SECURE_COOKIE, True),
        ({"x-forwarded-proto": "https"}, SECURE_COOKIE, True),
        ({"host": "guards.example", "x-forwarded-proto": "http"}, SECURE_COOKIE, True),
        ({"sec-fetch-site": "same-origin", "origin": "http://localhost:8787"}, COOKIE, False),
        # A proxy on this machine that tells nothing of whom it asks for.
        ({"sec-fetch-site": "same-origin", "origin": "https://guards.example"}, SECURE_COOKIE, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://localhost"}, SECURE_COOKIE, True),
    ],
)
def test_the_cookie_is_for_this_service_alone(
    running: Running, browser: Browser, headers: dict[str, str], name: str, secure: bool
) -> None:
    told = browser.sign_in(person(running).name, **headers).headers["set-cookie"]
    parts = [part.strip() for part in told.split(";")]
    assert parts[0].startswith(f"{name}=sgc_")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"} <= set(parts)
    assert ("Secure" in parts) is secure
    assert "domain" not in told.lower()


def test_a_secure_cookie_is_known_again_behind_a_proxy_that_tells_nothing(running: Running, browser: Browser) -> None:
    page = {"sec-fetch-site": "same-origin", "origin": "https://guards.example"}
    token = browser.sign_in(person(running).name, **page).headers["set-cookie"].partition(";")[0]
    with httpx.Client(base_url=running.base_url, trust_env=False, headers={"cookie": token}) as behind:
        assert behind.get("/v1/session").status_code == 200


@pytest.mark.parametrize("origin", ["http://[", "https://[::1", "null", "://", "http://guards.example:99999999999"])
def test_a_page_that_can_not_be_is_another_sites(running: Running, browser: Browser, origin: str) -> None:
    assert browser.sign_in(person(running).name, origin=origin).status_code == 403


def test_a_neighbours_cookie_is_not_taken_for_a_secure_one(running: Running, browser: Browser) -> None:
    browser.sign_in(person(running).name)
    assert browser.signed_in
    assert browser.get("/v1/session", headers={"host": "guards.example"}).status_code == 401


def test_a_page_signs_in_and_out_by_forms(running: Running, browser: Browser) -> None:
    who = person(running)
    form = {"name": who.name, "password": PASSWORD}
    told = browser.post("/v1/session", data={**form, "next": "/console/reviews?status=pending"})
    assert (told.status_code, told.headers["location"]) == (303, "/console/reviews?status=pending")
    for elsewhere in ("https://evil.example/", "//evil.example", "/\\evil.example", "/\tx", "evil", ""):
        assert browser.post("/v1/session", data={**form, "next": elsewhere}).headers["location"] == "/"
    assert browser.post("/v1/session", data={"name": who.name, "password": "wrong"}).status_code == 401
    assert browser.post("/v1/session", content=b"name=a&name=b", headers=_FORM).status_code == 400
    assert browser.post("/v1/session", content=b"name=%ff", headers=_FORM).status_code == 400
    token = browser.get("/v1/session").json()["csrf_token"]
    assert browser.post("/v1/session/end", data={"csrf_token": "x"}).status_code == 403
    assert browser.signed_in
    told = browser.post("/v1/session/end", data={"csrf_token": token})
    assert (told.status_code, told.headers["location"]) == (303, "/")
    assert not browser.signed_in


_FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_signing_in_again_ends_the_session_before(running: Running, browser: Browser) -> None:
    who = person(running)
    browser.sign_in(who.name)
    former = browser.cookies[COOKIE]
    browser.sign_in(who.name)
    assert browser.cookies[COOKIE] != former
    with Browser(running) as old:
        old.cookies.set(COOKIE, former)
        assert not old.signed_in


def test_requests_from_our_own_pages_are_taken(running: Running, browser: Browser) -> None:
    browser.sign_in(person(running).name)
    for headers in (
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": running.base_url},
        {"sec-fetch-site": "same-origin", "origin": "https://in-front-of-a-proxy.example"},
    ):
        assert browser.post("/v1/tokens", json={"label": "t"}, headers=headers).status_code == 201


def test_sessions_end_when_their_time_is_over(service_url: str, tmp_path: Path) -> None:
    with serving(service_url, tmp_path / "state", session_hours=1e-6) as running, Browser(running) as browser:
        quick(running.service)
        who = person(running)
        token = browser.sign_in(who.name).headers["set-cookie"].partition(";")[0]
        assert browser.get("/v1/session", headers={"cookie": token}).status_code == 401
        browser.sign_in(who.name)
        with running.service.store.reading() as held:
            assert len(held.execute(select(sessions.c.hash)).all()) == 1  # what is over is deleted


def test_what_an_administrator_does_is_effective_at_once_in_every_process(service_url: str, tmp_path: Path) -> None:
    with two_processes(service_url, tmp_path / "state") as (one, other):
        quick(one.service)
        quick(other.service)
        who = person(one, "viewer")
        with Browser(one) as here, Browser(other) as there, Browser(other) as program, other.admin() as admin:
            path = f"/v1/people/{who.id}"
            for browser in (here, there):
                browser.sign_in(who.name).raise_for_status()
            admin.patch(path, json={"role": "reviewer"}).raise_for_status()
            assert [browser.get("/v1/session").json()["person"]["role"] for browser in (here, there)] == [
                "reviewer"
            ] * 2
            admin.post(f"{path}/password", json={"password": "another password"}).raise_for_status()
            assert [here.signed_in, there.signed_in] == [False, False]
            assert here.sign_in(who.name).status_code == 401
            assert here.sign_in(who.name, "another password").status_code == 200
            _, token = one.service.tokens.create(who.id, "desk", "tests")
            bearer = {"authorization": f"Bearer {token}"}
            assert program.get("/v1/session", headers=bearer).status_code == 200
            admin.post(f"{path}/disable").raise_for_status()
            assert not here.signed_in
            assert program.get("/v1/session", headers=bearer).status_code == 401
            assert here.sign_in(who.name, "another password").status_code == 401
            admin.post(f"{path}/enable").raise_for_status()
            assert [here.signed_in, program.get("/v1/session", headers=bearer).is_success] == [False, False]
            assert here.sign_in(who.name, "another password").status_code == 200


def test_people_change_their_own_password(running: Running, browser: Browser) -> None:
    who = person(running)
    new = "another battery staple"
    with Browser(running) as elsewhere:
        browser.sign_in(who.name)
        elsewhere.sign_in(who.name)
        path = "/v1/session/password"
        assert browser.post(path, json={"current": "wrong", "new": new}).status_code == 401
        assert browser.post(path, json={"current": PASSWORD, "new": "short"}).status_code == 422
        assert browser.post(path, json={"current": PASSWORD, "new": new}).status_code == 200
        assert [browser.signed_in, elsewhere.signed_in] == [True, False]
        assert elsewhere.sign_in(who.name).status_code == 401
        assert elsewhere.sign_in(who.name, new).status_code == 200


def test_a_password_is_hashed_again_when_the_costs_change(running: Running, browser: Browser) -> None:
    who = person(running)
    browser.sign_in(who.name).raise_for_status()
    with running.service.store.reading() as held:
        stored = held.execute(select(people.c.password).where(people.c.id == who.id)).scalar()
    assert "$m=64," in str(who.password)
    assert "$m=65536," in str(stored)
    assert browser.signed_in
    browser.sign_in(who.name).raise_for_status()
    with running.service.store.reading() as held:
        assert held.execute(select(people.c.password).where(people.c.id == who.id)).scalar() == stored


def test_the_sessions_of_one_person_are_bounded(running: Running) -> None:
    who = person(running)
    service = running.service
    tokens = [service.store.transact(lambda held, _: service.sessions.open(held, who.id)) for _ in range(55)]
    alive = [service.sessions.find(token) is not None for token in tokens]
    assert alive == [False] * 5 + [True] * 50
