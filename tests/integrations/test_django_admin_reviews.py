"""Reviews are decided in the admin by who may, once, and never by who asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.django_admin import ALL, REVIEWS, admin_of, held, person, signed_in, words

from django.contrib.admin.models import LogEntry  # isort: skip
from django.contrib.auth.models import User  # isort: skip
from django.db import connections
from django.test import Client

from supervisor_guards.web import Principal
from supervisor_guards.web import User as Sender


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Any]:
    with admin_of(tmp_path) as one:
        yield one


@pytest.fixture
def ann() -> Iterator[User]:
    with person("ann", *ALL, email="ann@shop.example") as user:
        yield user


def page(action_id: str) -> str:
    return f"{REVIEWS}{action_id}/change/"


def decide(client: Client, action_id: str, decision: str, notes: str = "") -> Any:
    return client.post(page(action_id), {"decision": decision, "notes": notes})


@pytest.mark.parametrize(("button", "status"), [("approve", "approved"), ("reject", "rejected")])
def test_a_review_is_decided_with_notes_and_noted_in_the_history(
    guard: Any, ann: User, button: str, status: str
) -> None:
    client, action_id = signed_in(ann), held(guard)
    shown = client.get(page(action_id))
    assert shown.status_code == 200
    for expected in ("Pending", "large-refund", "A person looks at these.", '"amount": 900', "someone", "Expires in"):
        assert expected in words(shown)
    answer = decide(client, action_id, button, "  called them  ")
    assert (answer.status_code, answer["Location"]) == (302, REVIEWS)
    state = guard.supervisor.review(action_id)
    assert (state.status, state.notes, state.approver) == (status, "called them", f"{ann.pk} (ann)")
    assert action_id in words(client.get(REVIEWS))
    entry = LogEntry.objects.get(object_id=action_id)
    assert (entry.user_id, entry.get_admin_url()) == (ann.pk, page(action_id))
    assert "called them" in entry.change_message
    after = words(client.get(page(action_id)))
    assert "(ann)" in after
    assert "called them" in after
    assert b'value="approve"' not in client.get(page(action_id)).content
    entry.delete()


def test_looking_changes_nothing(guard: Any, ann: User) -> None:
    client, action_id = signed_in(ann), held(guard)
    for query in ("", "?decision=approve", "?decision=approve&notes=x"):
        assert client.get(page(action_id) + query).status_code == 200
        assert client.head(page(action_id) + query).status_code == 200
    for method in ("put", "delete", "patch"):
        assert getattr(client, method)(page(action_id)).status_code == 405
    assert client.post(REVIEWS, {"action": "delete_selected"}).status_code == 405
    assert guard.supervisor.review(action_id).status == "pending"


@pytest.mark.parametrize("permissions", [("view_review",), ()])
def test_who_lacks_the_permission_has_no_buttons_and_decides_nothing(guard: Any, permissions: tuple[str, ...]) -> None:
    action_id = held(guard)
    with person("reader", *permissions) as reader:
        client = signed_in(reader)
        shown = client.get(page(action_id))
        assert shown.status_code == (200 if permissions else 403)
        assert b'name="decision"' not in shown.content
        if permissions:
            assert "Can approve or reject reviews" in words(shown)
        for button in ("approve", "reject"):
            assert decide(client, action_id, button).status_code == 403
    assert guard.supervisor.review(action_id).status == "pending"


def test_the_permission_to_decide_is_enough_to_look(guard: Any) -> None:
    action_id = held(guard)
    with person("decider", "review_action") as decider:
        client = signed_in(decider)
        assert client.get(REVIEWS).status_code == 200
        shown = client.get(page(action_id))
        assert b'value="approve"' in shown.content
        assert b"/admin/supervisor_guards/decision/" not in shown.content
        assert client.get("/admin/supervisor_guards/decision/").status_code == 403
        assert decide(client, action_id, "approve").status_code == 302


@pytest.mark.parametrize("name", ["key", "username", "email", "resolver"])
def test_nobody_approves_their_own(tmp_path: Path, ann: User, name: str) -> None:
    """Whatever name the application gave them when they asked."""
    names = {"key": str(ann.pk), "username": "ANN", "email": "ann@shop.example", "resolver": "employee-7"}
    with admin_of(tmp_path, USER_RESOLVER=lambda request: Sender(id="employee-7")) as guard:
        client, action_id = signed_in(ann), held(guard, names[name])
        shown = client.get(page(action_id))
        assert b'value="approve"' not in shown.content
        assert b'value="reject"' in shown.content
        assert "You asked for this action yourself" in words(shown)
        answer = decide(client, action_id, "approve")
        assert answer.status_code == 403
        assert "nobody approves their own" in words(answer)
        assert guard.supervisor.review(action_id).status == "pending"
        assert decide(client, action_id, "reject").status_code == 302
        assert guard.supervisor.review(action_id).status == "rejected"


def test_a_coroutine_resolver_is_asked_too(tmp_path: Path, ann: User) -> None:
    async def resolver(request: Any) -> Sender:
        return Sender(id=f"employee-{request.user.pk}")

    with admin_of(tmp_path, USER_RESOLVER=resolver) as guard:
        action_id = held(guard, f"employee-{ann.pk}")
        assert decide(signed_in(ann), action_id, "approve").status_code == 403
        assert guard.supervisor.review(action_id).status == "pending"


def test_a_resolver_that_fails_lets_nobody_approve(tmp_path: Path, ann: User, caplog: Any) -> None:
    def resolver(request: Any) -> Sender:
        raise RuntimeError("directory is down")

    with admin_of(tmp_path, USER_RESOLVER=resolver) as guard:
        client, action_id = signed_in(ann), held(guard)
        assert "USER_RESOLVER failed" in words(client.get(page(action_id)))
        answer = decide(client, action_id, "approve")
        assert (answer.status_code, "USER_RESOLVER failed" in words(answer)) == (403, True)
        assert guard.supervisor.review(action_id).status == "pending"
    assert "directory is down" in caplog.text


def test_a_form_of_another_site_decides_nothing(guard: Any, ann: User) -> None:
    client, action_id = signed_in(ann, enforce_csrf_checks=True), held(guard)
    assert decide(client, action_id, "approve").status_code == 403
    assert guard.supervisor.review(action_id).status == "pending"
    client.get(page(action_id))
    token = client.cookies["csrftoken"].value
    sent = client.post(page(action_id), {"decision": "approve", "csrfmiddlewaretoken": token})
    assert sent.status_code == 302
    assert guard.supervisor.review(action_id).status == "approved"


def test_the_form_is_protected_without_the_middleware_too(
    tmp_path: Path, ann: User, settings_without_csrf: Any
) -> None:
    with admin_of(tmp_path, middleware=settings_without_csrf) as guard:
        client, action_id = signed_in(ann, enforce_csrf_checks=True), held(guard)
        assert decide(client, action_id, "approve").status_code == 403
        assert guard.supervisor.review(action_id).status == "pending"


@pytest.fixture
def settings_without_csrf() -> list[str]:
    from django.conf import settings

    return [name for name in settings.MIDDLEWARE if "csrf" not in name]


@pytest.mark.parametrize("button", ["", "approved", "delete"])
def test_a_form_that_says_nothing_decides_nothing(guard: Any, ann: User, button: str) -> None:
    client, action_id = signed_in(ann), held(guard)
    answer = decide(client, action_id, button, "my notes stay")
    assert (answer.status_code, "Nothing was decided" in words(answer)) == (400, True)
    assert "my notes stay" in words(answer)
    assert guard.supervisor.review(action_id).status == "pending"


def test_notes_are_bounded(guard: Any, ann: User) -> None:
    client, action_id = signed_in(ann), held(guard)
    answer = decide(client, action_id, "reject", "x" * 2_001)
    assert (answer.status_code, "2000 characters at most" in words(answer)) == (400, True)
    assert guard.supervisor.review(action_id).status == "pending"


def test_the_second_hears_who_was_faster(guard: Any, ann: User) -> None:
    action_id = held(guard)
    guard.desk().resolve(action_id, "rejected", None, Principal("bob"))
    answer = decide(signed_in(ann), action_id, "approve")
    assert answer.status_code == 409
    assert "somebody was faster: Rejected by bob" in words(answer)
    assert guard.supervisor.review(action_id).approver == "bob"


def test_of_two_at_once_one_decides_and_the_other_is_told(guard: Any, ann: User) -> None:
    action_id, together = held(guard), threading.Barrier(2)

    def approve(user: User) -> int:
        try:
            client = signed_in(user)
            together.wait()
            return int(decide(client, action_id, "approve").status_code)
        finally:
            connections.close_all()

    with person("bob", *ALL) as bob, ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(approve, (ann, bob)))
    assert answers == [302, 409]
    LogEntry.objects.filter(object_id=action_id).delete()


@pytest.mark.parametrize("button", ["approve", None])
def test_an_unknown_review_is_not_found(guard: Any, ann: User, button: str | None) -> None:
    client = signed_in(ann)
    answer = client.get(page("nothing")) if button is None else decide(client, "nothing", button)
    assert answer.status_code == 404
    assert "There is no such" in words(answer)


def test_strangers_are_asked_to_sign_in(guard: Any) -> None:
    action_id = held(guard)
    for address in (REVIEWS, page(action_id)):
        answer = Client().get(address)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")
    assert decide(Client(), action_id, "approve")["Location"].startswith("/admin/login/")
    with person("customer", is_staff=False) as customer:
        assert decide(signed_in(customer), action_id, "approve")["Location"].startswith("/admin/login/")
    assert guard.supervisor.review(action_id).status == "pending"


def test_those_that_wait_longest_come_first(guard: Any, ann: User) -> None:
    first, second, third = (held(guard, f"person-{number}", amount=600 + number) for number in range(3))
    guard.desk().resolve(second, "rejected", None, Principal("bob"))
    client = signed_in(ann)
    waiting = client.get(REVIEWS).content.decode()
    assert waiting.index(first) < waiting.index(third)
    assert second not in waiting
    rejected = client.get(REVIEWS + "?status=rejected").content.decode()
    assert second in rejected
    assert first not in rejected
    everything = client.get(REVIEWS + "?status=all").content.decode()
    assert everything.index(third) < everything.index(second) < everything.index(first)
    assert first in client.get(REVIEWS + "?q=PERSON-0").content.decode()
    assert "No reviews match" in words(client.get(REVIEWS + "?q=nobody-at-all"))


def test_the_most_pressing_come_first_and_say_so(guard: Any, ann: User) -> None:
    usual, urgent = held(guard), held(guard, amount=901, soon=True)
    page_ = signed_in(ann).get(REVIEWS)
    shown = page_.content.decode()
    assert shown.index(urgent) < shown.index(usual)
    assert words(page_).count("Urgent") == 1
    assert "Priority Urgent" in words(signed_in(ann).get(page(urgent)))


def test_a_second_admin_keeps_to_its_own_pages(guard: Any, ann: User) -> None:
    client, action_id = signed_in(ann), held(guard)
    address = f"/guarded/supervisor_guards/review/{action_id}/change/"
    assert address in client.get("/guarded/supervisor_guards/review/").content.decode()
    shown = client.get(address)
    assert "The decision in the record" not in words(shown)
    answer = client.post(address, {"decision": "reject"})
    assert (answer.status_code, answer["Location"]) == (302, "/guarded/supervisor_guards/review/")
