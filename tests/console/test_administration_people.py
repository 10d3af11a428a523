"""Administrators make accounts in the console, give roles and passwords, shut people out and let them in."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.console.scene import Scene, scene
from tests.console.visiting import Forms, administering, fault
from tests.service.doors import PASSWORD, acts, person
from tests.service.serving import PATIENCE, new_name

HOME = "/administration/people"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A service with people of each role."""
    with scene(tmp_path_factory.mktemp("people")) as made:
        yield made


@pytest.fixture
def forms(shown: Scene) -> Iterator[Forms]:
    """What an administrator sends."""
    with administering(shown) as made:
        yield made


def enters(shown: Scene, name: str, password: str = PASSWORD) -> bool:
    """Whether somebody can sign in."""
    with httpx.Client(base_url=shown.address, trust_env=False, timeout=PATIENCE) as http:
        return http.post("/sign-in", data={"name": name, "password": password}).status_code == 303


def test_an_account_is_made_and_its_person_signs_in(shown: Scene, forms: Forms) -> None:
    name = f"{new_name('zoë')}@example.org"
    fields = {"name": name, "role": "reviewer", "password": PASSWORD, "known_as": "user:17\r\nuser:18\r\n"}
    page = forms.send(HOME, **fields)
    assert "The account is made." in page.text
    assert PASSWORD not in page.text
    stored = shown.running.service.people.named(name)
    assert stored.principal("session").known_as == ("user:17", "user:18")
    assert enters(shown, name)
    assert name in forms.http.get(HOME).text
    assert acts(shown.running.service, f"person:{stored.id}")[0] == (
        shown.people["administrator"],
        f"created '{name}' as reviewer, known as user:17, user:18, with a password",
    )
    bare = new_name("proxied")
    forms.send(HOME, name=bare, role="viewer")
    assert shown.running.service.people.named(bare).password is None


@pytest.mark.parametrize(
    ("fields", "status", "field", "said"),
    [
        ({"name": ""}, 422, "name", "printable characters"),
        ({"name": "Admin Token"}, 422, "name", "choose another name"),
        ({"name": "VERA"}, 409, "name", "choose another name"),
        ({"role": "root"}, 422, "role", "choose one of viewer, reviewer, administrator"),
        ({"known_as": "\r\n".join(["a"] * 51)}, 422, "known_as", "at most 50 names"),
        ({"password": "short secret"[:11]}, 422, "password", "12 to 256 characters"),
    ],
)
def test_what_nobody_can_be_is_said_at_its_field(
    shown: Scene, forms: Forms, fields: dict[str, str], status: int, field: str, said: str
) -> None:
    before = len(shown.running.service.people.list())
    typed = {"name": new_name("typed"), "role": "reviewer", "known_as": "kept as typed", "password": PASSWORD, **fields}
    refused = forms.send(HOME, **typed)
    assert refused.status_code == status
    assert said in fault(refused, field)
    assert f'value="{typed["name"]}"' in refused.text
    assert f"{typed['known_as'].splitlines()[0]}" in refused.text
    assert typed["password"] not in refused.text
    assert field == "role" or 'value="reviewer" selected' in refused.text
    assert len(shown.running.service.people.list()) == before


def test_roles_and_names_change_at_once(shown: Scene, forms: Forms) -> None:
    made = person(shown.running, "viewer")
    place = f"{HOME}/{made.id}"
    assert "It is changed" in forms.send(place, role="reviewer", known_as="u-1").text
    assert shown.running.service.people.get(made.id).role == "reviewer"
    for wrong in ("", "root"):
        refused = forms.send(place, role=wrong, known_as="kept as typed")
        assert (refused.status_code, "kept as typed" in refused.text) == (422, True)
        assert "choose one of" in fault(refused, "role")
    assert acts(shown.running.service, f"person:{made.id}")[1:] == [
        (shown.people["administrator"], "role changed from viewer to reviewer"),
        (shown.people["administrator"], "known as u-1"),
    ]


def test_nobody_can_lock_out_the_last_administrator(shown: Scene, forms: Forms) -> None:
    alex = shown.running.service.people.named(shown.people["administrator"])
    place = f"{HOME}/{alex.id}"
    demoted = forms.send(place, role="viewer", known_as="")
    assert demoted.status_code == 409
    assert "is the last administrator: make somebody else one first" in fault(demoted, "role")
    shut_out = forms.confirmed(f"{place}/disable")
    assert shut_out.status_code == 409
    assert "is the last administrator" in shut_out.text
    stored = shown.running.service.people.get(alex.id)
    assert (stored.role, stored.disabled_at) == ("administrator", None)


def test_a_password_is_set_and_removed(shown: Scene, forms: Forms) -> None:
    made = person(shown.running, "viewer")
    place, other = f"{HOME}/{made.id}", "another horse battery staple"
    short = forms.send(f"{place}/password", password="short")
    assert short.status_code == 422
    assert "The password has 5 characters" in fault(short, "password")
    assert "sessions of this person are over" in forms.send(f"{place}/password", password=other).text
    assert (enters(shown, made.name), enters(shown, made.name, other)) == (False, True)
    assert forms.send(f"{place}/remove-password").status_code == 200
    assert enters(shown, made.name, other)
    removed = forms.confirmed(f"{place}/remove-password")
    assert "The password is removed" in removed.text
    assert "/remove-password" not in removed.text
    assert not enters(shown, made.name, other)


def test_somebody_is_shut_out_after_a_tick_and_let_in_again(shown: Scene, forms: Forms) -> None:
    made = person(shown.running, "reviewer")
    place = f"{HOME}/{made.id}"
    asking = forms.send(f"{place}/disable")
    assert "tokens are revoked" in asking.text
    assert enters(shown, made.name)
    assert "The account is disabled" in forms.confirmed(f"{place}/disable").text
    assert not enters(shown, made.name)
    assert "The account is enabled" in forms.send(f"{place}/enable").text
    assert enters(shown, made.name)


def test_a_name_can_not_do_anything_to_a_page(shown: Scene, forms: Forms) -> None:
    name = '<script>alert(1)</script>" onfocus="x'
    forms.send(HOME, name=name, role="viewer")
    made = shown.running.service.people.named(name)
    for place in (HOME, f"{HOME}/{made.id}", "/administration/acts"):
        assert "<script>alert" not in forms.http.get(place).text
    taken = forms.send(HOME, name=name, role="viewer")
    assert (taken.status_code, "<script>alert" in taken.text) == (409, False)
    assert '" onfocus="x"' not in taken.text


def test_what_is_not_there_is_said_to_be(forms: Forms) -> None:
    assert forms.http.get(f"{HOME}/none").status_code == 404
    acts = ("", "/password", "/remove-password", "/disable", "/enable")
    assert [forms.send(f"{HOME}/none{act}").status_code for act in acts] == [404] * 5
