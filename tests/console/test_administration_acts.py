"""The audit log: what was done, by whom, to what, newest first, in pages that an index finds."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.console.scene import Scene, scene
from tests.console.visiting import Forms, administering
from tests.service.serving import new_name

PLACE = "/administration/acts"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A service with people of each role."""
    with scene(tmp_path_factory.mktemp("acts")) as made:
        yield made


@pytest.fixture
def forms(shown: Scene) -> Iterator[Forms]:
    """What an administrator sends."""
    with administering(shown) as made:
        yield made


def told(page: httpx.Response) -> list[str]:
    """What was done, as the page has it."""
    assert page.status_code == 200, page.text
    return re.findall(r'class="did"><bdi>([^<]*)</bdi>', page.text)


def test_an_administrator_sees_who_did_what_to_whom(shown: Scene, forms: Forms) -> None:
    page = forms.http.get(PLACE)
    assert told(page)[0].startswith("signed in from 127.0.0.1")
    assert shown.people["administrator"] in page.text
    vera = shown.running.service.people.named(shown.people["viewer"])
    assert f'/administration/people/{vera.id}"><bdi>{vera.name}</bdi>' in page.text
    assert f'/administration/integrations/{shown.shop.id}"><bdi>{shown.shop.name}</bdi>' in page.text
    assert shown.shop.secret not in page.text


def test_it_is_filtered_by_who_on_what_kind_and_on_one_alone(shown: Scene, forms: Forms) -> None:
    name = new_name("till")
    made, _ = shown.running.service.integrations.create(name, ["*"], "robot")
    shown.running.service.integrations.create(new_name("till"), ["*"], "tests")
    shown.running.service.integrations.revoke(made.id, "tests")
    created = f"created &#39;{name}&#39; with scopes *"
    assert told(forms.http.get(f"{PLACE}?by=robot")) == [created]
    assert told(forms.http.get(f"{PLACE}?about=integration:{made.id}")) == ["revoked", created]
    assert told(forms.http.get(f"{PLACE}?by=tests&about=integration:{made.id}")) == ["revoked"]
    page = forms.http.get(f"{PLACE}?kind=integration").text
    assert set(re.findall(r'data-label="On"><span class="quiet">(\w+)<', page)) == {"integration"}
    assert told(forms.http.get(f"{PLACE}?by=robot&kind=person")) == []
    assert told(forms.http.get(f"{PLACE}?kind=integration"))[0] == "revoked"


def test_pages_are_bounded_and_leave_nothing_out(shown: Scene, forms: Forms) -> None:
    made, _ = shown.running.service.integrations.create(new_name("busy"), ["*"], "busy")
    for number in range(220):
        shown.running.service.integrations.change(made.id, "busy", {"per_minute": number})
    found: list[str] = []
    place, sizes = f"{PLACE}?by=busy", []
    while place:
        page = forms.http.get(place)
        sizes.append(len(told(page)))
        found += told(page)
        older = re.search(r'href="/console([^"]*)">Older', page.text)
        place = older[1].replace("&amp;", "&") if older else ""
    assert sizes == [100, 100, 21]
    assert found[:-1] == [f"changed: per_minute = {number}" for number in reversed(range(220))]


@pytest.mark.parametrize("wrong", ["kind=none", "before=x", "before=-1", f"before={'9' * 19}", "by=%00"])
def test_what_can_not_be_asked_is_refused_in_words(forms: Forms, wrong: str) -> None:
    refused = forms.http.get(f"{PLACE}?{wrong}")
    assert refused.status_code in (400, 422)
    assert '<p class="notice bad" role="alert">' in refused.text


def test_nothing_found_says_what_to_do(forms: Forms) -> None:
    page = forms.http.get(f"{PLACE}?by=nobody")
    assert "Names are compared as they are written" in page.text
    assert 'value="nobody"' in page.text
