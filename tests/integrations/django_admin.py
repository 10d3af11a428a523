"""People at the project's admin, and a guard whose reviews they decide."""

from __future__ import annotations

import contextlib
import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.integrations.django_client import guarded

from django.contrib.auth.models import Permission, User  # isort: skip
from django.test import Client

from supervisor_guards import observing

POLICY = """
name: refunds
version: 1
action: refund
rules:
- {id: cap, when: payload.amount > 10000, action: deny, reason: over-cap, explanation: Refunds end there.}
- {id: large, when: payload.amount > 500, action: review, reason: large-refund, explanation: A person looks at these.}
- {id: soon, when: "payload.get('soon')", action: review, priority: urgent}
"""
URLS = "tests.integrations.django_project.admin_urls"
DECISIONS = "/admin/supervisor_guards/decision/"
REVIEWS = "/admin/supervisor_guards/review/"
ALL = ("view_decision", "view_review", "review_action")


@contextlib.contextmanager
def admin_of(folder: Path, mode: str = "enforce", **changes: Any) -> Iterator[Any]:
    """The guard of a project that has the admin."""
    with guarded(folder, mode, POLICY, root_urlconf=URLS, **{"RULES": [], **changes}) as guard:
        yield guard


@contextlib.contextmanager
def person(name: str, *permissions: str, **fields: Any) -> Iterator[User]:
    """A member of the staff with these permissions of the app's."""
    user = User.objects.create_user(name, is_staff=fields.pop("is_staff", True), **fields)
    found = Permission.objects.filter(content_type__app_label="supervisor_guards", codename__in=permissions)
    assert len(found) == len(permissions)
    user.user_permissions.set(found)
    try:
        yield user
    finally:
        user.delete()


def signed_in(user: User, **options: Any) -> Client:
    """The person's browser."""
    client = Client(**options)
    client.force_login(user)
    return client


def held(guard: Any, who: str = "someone", **payload: Any) -> str:
    """The action id of a refund that waits for a person, asked for by `who`."""
    with observing(user_id=who):
        decision = guard.check("refund", {"amount": 900, **payload}, on_review="fail_closed")
    assert decision.outcome == "review"
    assert guard.flush()  # that it did not run is written by the worker, after the decision
    return str(decision.action_id)


def words(response: Any) -> str:
    """What the page says, as text."""
    body = re.sub(r"<(script|style).*?</\1>", " ", response.content.decode(), flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())
