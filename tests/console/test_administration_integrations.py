"""Administrators make integrations in the console, change them, give them other secrets and end them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.console.scene import Scene, scene
from tests.console.visiting import Forms, administering, copied, fault, hidden
from tests.service.doors import acts
from tests.service.serving import Caller, body, new_name

HOME = "/administration/integrations"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A service with people of each role."""
    with scene(tmp_path_factory.mktemp("integrations")) as made:
        yield made


@pytest.fixture
def forms(shown: Scene) -> Iterator[Forms]:
    """What an administrator sends."""
    with administering(shown) as made:
        yield made


def settings(page: str) -> dict[str, str]:
    """The settings that a page shows once."""
    return dict(line.split("=", 1) for line in page.splitlines())


def caller(shown: Scene, told: dict[str, str]) -> Caller:
    """The application that was given these settings."""
    return Caller({"id": told["SUPERVISOR_APP_ID"], "name": "", "shared_secret": told["SUPERVISOR_SECRET"]})


def asks(shown: Scene, told: dict[str, str], action_type: str = "refund") -> int:
    """What the application is answered."""
    with caller(shown, told).client(shown.running.base_url) as http:
        return http.post("/v1/actions/evaluate", json=body(1, action_type)).status_code


def make(forms: Forms, **fields: str) -> dict[str, str]:
    """A new integration's settings."""
    made = forms.send(HOME, **{"name": new_name("app"), "scopes": "*", **fields})
    assert made.status_code == 200, made.text
    return settings(copied(made))


def test_what_is_shown_once_is_what_the_application_needs(shown: Scene, forms: Forms) -> None:
    name = new_name("till")
    made = forms.send(HOME, name=f" {name} ", scopes="refund\r\n\r\n payment \r\n", per_minute="7")
    assert made.headers["cache-control"] == "no-store"
    told = settings(copied(made))
    assert (asks(shown, told), asks(shown, told, "send_email")) == (200, 403)
    place = f"{HOME}/{told['SUPERVISOR_APP_ID']}"
    stored = shown.running.service.integrations.get(told["SUPERVISOR_APP_ID"])
    assert (stored.name, stored.principal.scopes, stored.per_minute) == (name, ("refund", "payment"), 7)
    for later in (HOME, place, "/administration/acts"):
        page = forms.http.get(later)
        assert name in page.text
        assert told["SUPERVISOR_SECRET"] not in page.text
    assert acts(shown.running.service, f"integration:{stored.id}") == [
        (shown.people["administrator"], f"created '{name}' with scopes refund, payment")
    ]


def test_what_can_not_be_is_said_at_its_field_and_nothing_typed_is_lost(shown: Scene, forms: Forms) -> None:
    before = len(shown.running.service.integrations.list())
    typed = {"name": "a" * 201, "scopes": "", "per_minute": "many", "resolves_own": "yes"}
    refused = forms.send(HOME, **typed)
    assert refused.status_code == 422
    assert fault(refused, "name") == "Give 1 to 200 printable characters."
    assert fault(refused, "scopes") == "Give 1 to 1000 action types, or '*' for all of them."
    assert fault(refused, "per_minute") == "Give a whole number from 0 (no limit) to 1,000,000,000."
    assert 'value="many"' in refused.text
    assert "a" * 201 in refused.text
    assert 'name="resolves_own" value="yes" checked' in refused.text
    taken = forms.send(HOME, name=shown.shop.name, scopes='refund\r\n<b>"&')
    assert taken.status_code == 409
    assert "choose another name" in fault(taken, "name")
    assert "refund\n&lt;b&gt;&#34;&amp;</textarea>" in taken.text.replace("\r", "")
    assert len(shown.running.service.integrations.list()) == before


def test_it_is_changed_at_once_and_the_record_has_what_differs(shown: Scene, forms: Forms) -> None:
    told = make(forms, name=new_name("narrowed"))
    place = f"{HOME}/{told['SUPERVISOR_APP_ID']}"
    assert asks(shown, told) == 200
    page = forms.send(place, scopes="payment", per_minute="")
    assert "It is changed" in page.text
    assert asks(shown, told) == 403
    assert acts(shown.running.service, f"integration:{told['SUPERVISOR_APP_ID']}")[1:] == [
        (shown.people["administrator"], 'changed: scopes = ["payment"]')
    ]
    refused = forms.send(place, scopes="payment", per_minute="-1")
    assert refused.status_code == 422
    assert "whole number" in fault(refused, "per_minute")
    forms.send(place, scopes="payment", per_minute="0", resolves_own="yes")
    stored = shown.running.service.integrations.get(told["SUPERVISOR_APP_ID"])
    assert (stored.per_minute, stored.resolves_own) == (0, True)


def test_a_new_secret_takes_a_tick_and_the_former_one_stays_good(shown: Scene, forms: Forms) -> None:
    told = make(forms)
    place = f"{HOME}/{told['SUPERVISOR_APP_ID']}"
    seen = hidden(forms.http.get(place))
    asking = forms.send(f"{place}/rotate", **seen)
    assert "stays good for 1 d" in asking.text
    missed = forms.send(f"{place}/rotate", **hidden(asking))
    assert missed.status_code == 422
    assert "set the tick" in missed.text
    shown_once = forms.send(f"{place}/rotate", **hidden(missed), sure="yes")
    fresh = settings(copied(shown_once))
    assert fresh["SUPERVISOR_SECRET"] != told["SUPERVISOR_SECRET"]
    assert (asks(shown, fresh), asks(shown, told)) == (200, 200)
    again = forms.send(f"{place}/rotate", **hidden(missed), sure="yes")
    assert again.status_code == 409
    assert "rotated already" in again.text
    assert forms.send(f"{place}/rotate", sure="yes").status_code == 409
    assert (asks(shown, fresh), asks(shown, told)) == (200, 200), "a page sent twice ends nobody's secret"


def test_revoking_takes_a_tick_and_ends_it(shown: Scene, forms: Forms) -> None:
    told = make(forms)
    place = f"{HOME}/{told['SUPERVISOR_APP_ID']}"
    assert forms.send(f"{place}/revoke").status_code == 200
    assert asks(shown, told) == 200
    ended = forms.confirmed(f"{place}/revoke")
    assert "It is revoked." in ended.text
    assert "/rotate" not in ended.text
    assert asks(shown, told) == 401
    for act in ("", "/rotate", "/revoke"):
        refused = forms.send(place + act, scopes="*", sure="yes", per_minute="1")
        assert refused.status_code == 409
        assert "is revoked" in refused.text


def test_what_is_not_there_is_said_to_be(forms: Forms) -> None:
    assert forms.http.get(f"{HOME}/none").status_code == 404
    assert [forms.send(f"{HOME}/none{act}").status_code for act in ("", "/rotate", "/revoke")] == [404] * 3
    assert forms.http.get(f"{HOME}?from=x").status_code == 422
    assert forms.http.get(f"{HOME}?from={'9' * 18}").status_code == 404


def test_a_long_list_comes_in_pages(shown: Scene, forms: Forms) -> None:
    known = shown.running.service.integrations
    while len(known.list()) <= 100:
        known.create(new_name("many"), ["*"], "tests")
    first = forms.http.get(HOME).text
    assert f"{HOME}?from=100" in first
    last = known.list()[-1].name
    assert last not in first
    assert last in forms.http.get(f"{HOME}?from=100").text
