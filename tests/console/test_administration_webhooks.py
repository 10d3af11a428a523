"""Administrators make webhooks in the console, see what became of each delivery, and send one again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from supervisor_guards.service.webhooks import deliveries
from supervisor_guards.service.webhooks.deliveries import Delivery
from supervisor_guards.service.webhooks.events import EVENTS
from tests.console.scene import Scene, scene
from tests.console.visiting import Forms, administering, copied, fault, hidden
from tests.service.doors import acts
from tests.service.receivers import Receiver, status
from tests.service.serving import until

HOME = "/administration/webhooks"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A service whose webhooks may go to this machine, and that tries each delivery once."""
    with scene(tmp_path_factory.mktemp("webhooks"), webhook_private=True, webhook_attempts=1) as made:
        yield made


@pytest.fixture
def forms(shown: Scene) -> Iterator[Forms]:
    """What an administrator sends."""
    with administering(shown) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Who is told."""
    with Receiver() as made:
        yield made


def make(forms: Forms, url: str, *events: str, **fields: str) -> tuple[str, str]:
    """Where the page of a new webhook is, and its secret."""
    chosen = {f"event.{name}": "yes" for name in events or ("action.denied",)}
    made = forms.send(HOME, url=url, **chosen, **fields)
    assert made.status_code == 200, made.text
    place = re.search(rf"{HOME}/\w+", made.text)
    assert place, made.text
    return place[0], copied(made)


def newest(shown: Scene, place: str) -> Delivery:
    """The webhook's newest delivery."""
    with shown.running.service.store.reading() as held:
        return deliveries.find(held, place.rpartition("/")[2], 1)[0]


def settled(shown: Scene, place: str, status: str) -> Delivery:
    """The same, once it is so."""
    until(lambda: newest(shown, place).status == status)
    return newest(shown, place)


def test_what_is_shown_once_is_what_deliveries_are_signed_with(shown: Scene, forms: Forms, receiver: Receiver) -> None:
    place, secret = make(forms, receiver.url, "review.requested", "action.denied")
    denied = shown.ask(500)["id"]
    told = receiver.wait()[0].verified(secret)
    assert (told.event, told.data["action_id"]) == ("action.denied", denied)
    settled(shown, place, "delivered")
    page = forms.http.get(place)
    assert page.headers["cache-control"] == "no-store"
    assert f"/deliveries/{told.id}" in page.text
    assert "Delivered" in page.text
    assert secret not in page.text + forms.http.get(HOME).text
    one = forms.http.get(f"{place}/deliveries/{told.id}").text
    assert f"/decisions/{denied}" in one
    assert "action.denied" in one
    assert "amount-exceeds-cap" in one, "the body that is sent"


def test_every_event_can_be_chosen(forms: Forms) -> None:
    page = forms.http.get(HOME).text
    assert set(re.findall(r'name="event\.([\w.]+)"', page)) == set(EVENTS)


def test_of_one_integration_alone(shown: Scene, forms: Forms, receiver: Receiver) -> None:
    place, _ = make(forms, receiver.url, integration_id=shown.shop.id)
    assert shown.shop.name in forms.http.get(place).text
    stored = shown.running.service.subscriptions.get(place.rpartition("/")[2])
    assert stored.integration_id == shown.shop.id


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"url": "ftp://receiver.example/"}, "url", "Give an address such as https://receiver.example/hooks."),
        ({"url": "https://user:secret@receiver.example/"}, "url", "remove it"),
        ({"url": ""}, "url", "Give an address"),
        ({"event.action.denied": ""}, "events", "Give some of decision.made"),
        ({"integration_id": "nobodys"}, "integration_id", "Give the id of an integration"),
    ],
)
def test_what_can_not_be_is_said_at_its_field(
    shown: Scene, forms: Forms, fields: dict[str, str], field: str, said: str
) -> None:
    typed = {"url": "https://receiver.example/x", "event.action.denied": "yes", "event.nothing": "yes", **fields}
    refused = forms.send(HOME, **typed)
    assert refused.status_code == 422
    assert said in fault(refused, field)
    assert f'value="{typed["url"]}"' in refused.text
    assert field == "events" or 'name="event.action.denied" value="yes" checked' in refused.text
    assert 'name="event.review.requested" value="yes" checked' not in refused.text
    assert typed["url"] not in forms.http.get(HOME).text or not typed["url"]


def test_a_failed_delivery_says_why_and_is_sent_again(shown: Scene, forms: Forms, receiver: Receiver) -> None:
    receiver.behave = status(500, b"out of <order>")
    place, _ = make(forms, receiver.url)
    assert "A test is on its way" in forms.send(f"{place}/test").text
    failed = settled(shown, place, "failed")
    page = forms.http.get(f"{place}?status=failed").text
    assert "out of &lt;order&gt;" in page
    assert "1 of 1" in page
    assert failed.name in page
    assert failed.name not in forms.http.get(f"{place}?status=delivered").text
    receiver.behave = status(204)
    sent = forms.send(f"{place}/deliveries/{failed.name}/redeliver")
    assert "It is sent again" in sent.text
    assert settled(shown, place, "delivered").id == failed.id
    assert len(receiver.wait(2)) == 2
    subject = f"webhook:{place.rpartition('/')[2]}"
    assert [what for _, what in acts(shown.running.service, subject)][1:] == [
        "sent a test", f"sent delivery {failed.name} again",
    ]  # fmt: skip


def test_a_new_secret_takes_a_tick_and_both_sign_for_a_while(shown: Scene, forms: Forms, receiver: Receiver) -> None:
    place, secret = make(forms, receiver.url)
    seen = hidden(forms.http.get(place))
    asking = forms.send(f"{place}/rotate", **seen)
    assert forms.send(f"{place}/rotate", **hidden(asking)).status_code == 422
    fresh = copied(forms.send(f"{place}/rotate", **hidden(asking), sure="yes"))
    again = forms.send(f"{place}/rotate", **hidden(asking), sure="yes")
    assert (again.status_code, "rotated already" in again.text) == (409, True)
    forms.send(f"{place}/test")
    (sent,) = receiver.wait()
    assert {sent.verified(one).event for one in (secret, fresh)} == {"webhook.test"}
    assert "Former secret signs until" in forms.http.get(place).text


def test_disabling_takes_a_tick_and_nothing_more_is_sent(shown: Scene, forms: Forms, receiver: Receiver) -> None:
    place, _ = make(forms, receiver.url)
    forms.send(f"{place}/test")
    sent = settled(shown, place, "delivered")
    assert forms.send(f"{place}/disable").status_code == 200
    assert shown.running.service.subscriptions.get(place.rpartition("/")[2]).disabled_at is None
    ended = forms.confirmed(f"{place}/disable")
    assert "It is disabled" in ended.text
    assert "/redeliver" not in ended.text
    shown.ask(500)
    for act in ("test", "rotate", "disable", f"deliveries/{sent.name}/redeliver"):
        refused = forms.send(f"{place}/{act}", sure="yes")
        assert (refused.status_code, "is disabled" in refused.text) == (409, True)
    assert newest(shown, place).id == sent.id


def test_deliveries_come_in_pages(shown: Scene, forms: Forms, receiver: Receiver) -> None:
    place, _ = make(forms, receiver.url)
    service = shown.running.service
    webhook = place.rpartition("/")[2]
    for _ in range(51):
        forms.send(f"{place}/test")
    with service.store.reading() as held:
        names = [one.name for one in deliveries.find(held, webhook, 100)]
    first = forms.http.get(place).text
    older = re.search(r"\?(before=\d+)", first)
    assert older, first
    last = forms.http.get(f"{place}?{older[1]}").text
    assert (names[0] in first, names[-1] in first) == (True, False)
    assert (names[0] in last, names[-1] in last) == (False, True)


def test_what_is_not_there_is_said_to_be(shown: Scene, forms: Forms, receiver: Receiver) -> None:
    place, _ = make(forms, receiver.url)
    other, _ = make(forms, receiver.url)
    forms.send(f"{other}/test")
    theirs = newest(shown, other).name
    assert forms.http.get(f"{HOME}/none").status_code == 404
    for name in ("none", theirs, f"{place.rpartition('/')[2]}-99999", f"{place.rpartition('/')[2]}-{'9' * 30}"):
        assert forms.http.get(f"{place}/deliveries/{name}").status_code == 404
        assert forms.send(f"{place}/deliveries/{name}/redeliver").status_code == 404
    for wrong in (f"{place}?status=lost", f"{place}?before=x", f"{HOME}?before=x"):
        assert forms.http.get(wrong).status_code == 422
