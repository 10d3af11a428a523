"""Admin pages and bulk actions are guarded like any other view."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.django_admin import URLS, signed_in
from tests.integrations.django_client import guarded

from django.contrib.auth.models import Group, User  # isort: skip

POLICY = """
name: back-office
version: 1
action: [groups.bulk, groups.delete]
rules:
- {id: bulk, when: "payload.get('action') == 'delete_selected'", action: deny, reason: no-bulk-deletion}
- {id: many, when: "payload.get('count', 0) > 2", action: deny, reason: too-many}
"""
RULE = {
    "route": "admin:auth_group_changelist",
    "methods": ["POST"],
    "action": "groups.bulk",
    "payload": ["form.action"],
}


@pytest.fixture
def root() -> Iterator[User]:
    user = User.objects.create_superuser("root")
    yield user
    user.delete()


@pytest.fixture
def groups() -> Iterator[list[Group]]:
    made = [Group.objects.create(name=f"group {number}") for number in range(3)]
    yield made
    Group.objects.all().delete()


def deletion(groups: list[Group]) -> dict[str, Any]:
    return {"action": "delete_selected", "_selected_action": [group.pk for group in groups], "post": "yes"}


def test_a_rule_on_the_changelist_guards_its_bulk_actions(tmp_path: Path, root: User, groups: list[Group]) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[RULE], root_urlconf=URLS) as guard:
        client = signed_in(root)
        assert client.get("/admin/auth/group/").status_code == 200
        answer = client.post("/admin/auth/group/", deletion(groups))
        assert answer.status_code == 403
        assert Group.objects.count() == 3
        (row,) = guard.desk().decisions()
        assert (row.action_type, row.reasons, row.subject) == ("groups.bulk", ("no-bulk-deletion",), str(root.pk))


@pytest.mark.parametrize(("chosen", "left"), [(2, 1), (3, 3)])
def test_a_bulk_action_is_an_action_type_of_its_own(
    tmp_path: Path, root: User, groups: list[Group], chosen: int, left: int
) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=URLS) as guard:
        answer = signed_in(root).post("/guarded/auth/group/", deletion(groups[:chosen]))
        assert answer.status_code == (302 if left == 1 else 403)
        assert Group.objects.count() == left
        assert guard.flush()
        (row,) = guard.desk().decisions()
        assert (row.action_type, row.outcome) == ("groups.delete", "allow" if left == 1 else "deny")


def test_deleting_is_asked_about_once_it_is_confirmed(tmp_path: Path, root: User, groups: list[Group]) -> None:
    """As a person does it: choose, look at the page that asks back, confirm."""
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=URLS) as guard:
        client = signed_in(root, enforce_csrf_checks=True)
        assert client.get("/guarded/auth/group/").status_code == 200
        form = {**deletion(groups[:2]), "csrfmiddlewaretoken": client.cookies["csrftoken"].value}
        chosen = {name: value for name, value in form.items() if name != "post"}
        for page in (chosen, {**chosen, "post": ""}):
            answer = client.post("/guarded/auth/group/", page)
            assert (answer.status_code, b"Are you sure" in answer.content) == (200, True)
        assert guard.flush()
        assert guard.desk().decisions() == []
        assert Group.objects.count() == 3
        assert client.post("/guarded/auth/group/", form).status_code == 302
        assert Group.objects.count() == 1
        assert guard.flush()
        (row,) = guard.desk().decisions()
        assert (row.action_type, row.outcome, row.subject) == ("groups.delete", "allow", str(root.pk))
        assert (row.route, row.result) == ("POST /guarded/auth/group/", "returned")


@pytest.mark.parametrize("value", ["yes", "no", "0", " "])
def test_whatever_django_takes_for_a_confirmation_is_asked_about(
    value: str, tmp_path: Path, root: User, groups: list[Group]
) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=URLS):
        answer = signed_in(root).post("/guarded/auth/group/", {**deletion(groups), "post": ["", value]})
        assert answer.status_code == 403
        assert Group.objects.count() == 3
