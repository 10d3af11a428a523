"""Failed sign-ins are limited by name and address, over all processes, and tell nothing about who there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from supervisor_guards.service import signing_in
from supervisor_guards.service.passwords import Passwords
from supervisor_guards.service.people import People
from tests.service.doors import PASSWORD, QUICK, Browser, acts, person, quick
from tests.service.serving import Running, new_name, two_processes

WRONG = "the name or the password is wrong"


@pytest.fixture
def both(service_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Running, Running]]:
    """Two processes behind a proxy, which names the address. One long window, so that no test sees its end."""
    monkeypatch.setattr(signing_in, "WINDOW_SECONDS", 10**9)
    with two_processes(service_url, tmp_path / "state", trusted_proxies=("127.0.0.1",)) as (one, other):
        quick(one.service)
        quick(other.service)
        yield one, other


def attempt(running: Running, name: str, address: str, password: str = "wrong") -> tuple[int, str]:
    with Browser(running) as browser:
        answer = browser.sign_in(name, password, **{"x-forwarded-for": f"10.9.9.9, {address}"})
        assert (answer.status_code == 429) is ("retry-after" in answer.headers)
        return answer.status_code, answer.json().get("detail", "")


def test_after_ten_failures_a_name_is_refused_from_that_address_only(both: tuple[Running, Running]) -> None:
    one, other = both
    who = person(one)
    tried = [attempt(both[number % 2], who.name, "192.0.2.1") for number in range(12)]
    assert tried[:10] == [(401, WRONG)] * 10
    assert [status for status, _ in tried[10:]] == [429] * 2
    assert attempt(one, who.name, "192.0.2.1", PASSWORD)[0] == 429
    assert attempt(other, who.name, "192.0.2.2", PASSWORD)[0] == 200
    assert attempt(other, person(one).name, "192.0.2.1", PASSWORD)[0] == 200
    told = acts(one.service, f"person:{who.id}")
    assert [what for actor, what in told if actor == "sign-in"] == [
        f"10 failed sign-ins of one name from 192.0.2.1: refused for the rest of {10**9 // 60} min"
    ]


def test_an_unknown_name_is_answered_as_a_known_one(both: tuple[Running, Running]) -> None:
    one, _ = both
    gone = person(one)
    one.service.people.disable(gone.id, "tests")
    names = (new_name("nobody"), gone.name, person(one, password=None).name, "\0", "x" * 5_000)
    for number, name in enumerate(names):
        tried = [attempt(one, name, f"192.0.2.{number}", PASSWORD) for _ in range(11)]
        assert tried[:10] == [(401, WRONG)] * 10
        assert tried[10][0] == 429
    assert len(acts(one.service, "person:unknown")) == 4  # the one without a password is somebody


def test_one_address_can_not_try_many_names(both: tuple[Running, Running]) -> None:
    one, _ = both
    address = "2001:db8::1"
    tried = [attempt(one, f"nobody-{number}", address.replace("::1", f"::{number:x}")) for number in range(52)]
    assert Counter(status for status, _ in tried) == {401: 50, 429: 2}  # a network of IPv6 is one caller
    assert attempt(one, "nobody", "2001:db8:0:1::1")[0] == 401


def test_many_addresses_can_not_try_one_name(both: tuple[Running, Running]) -> None:
    one, _ = both
    tried = [attempt(one, "alice", f"198.51.100.{number}") for number in range(102)]
    assert Counter(status for status, _ in tried) == {401: 100, 429: 2}


def test_parallel_tries_do_not_get_past_the_limit(both: tuple[Running, Running]) -> None:
    who = person(both[0])
    with ThreadPoolExecutor(16) as pool:
        tried = list(pool.map(lambda number: attempt(both[number % 2], who.name, "192.0.2.7")[0], range(40)))
    assert Counter(tried) == {401: 10, 429: 30}


def test_who_signs_in_starts_anew(both: tuple[Running, Running]) -> None:
    one, other = both
    who = person(one)
    for _ in range(3):
        assert [attempt(one, who.name, "192.0.2.3")[0] for _ in range(9)] == [401] * 9
        assert attempt(other, who.name, "192.0.2.3", PASSWORD)[0] == 200
    told = [what for actor, what in acts(one.service, f"person:{who.id}") if actor == who.name]
    assert told == ["signed in from 192.0.2.3 after 9 failures"] * 3


def test_a_password_changed_meanwhile_lets_nobody_in(both: tuple[Running, Running]) -> None:
    """The one that was verified has to be the one that counts when the session is made."""
    one, _ = both
    who = person(one)

    class Slow(Passwords):
        def matches(self, stored: str | None, password: str) -> bool:
            matched = super().matches(stored, password)
            People(one.service.store).set_password(who.id, QUICK.hash("another one, and a new one"), "tests")
            return matched

    one.service.passwords = Slow(QUICK)
    assert attempt(one, who.name, "192.0.2.4", PASSWORD) == (401, WRONG)
