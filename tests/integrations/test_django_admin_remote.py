"""The admin of a project whose record a service keeps: it is read there, and decided with a reviewer's token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.integrations.django_admin import ALL, DECISIONS, REVIEWS, URLS, held, person, signed_in, words
from tests.service.serving import ADMIN_TOKEN, PATIENCE, Caller, Running, new_name, serving

from django.contrib.admin.models import LogEntry  # isort: skip
from django.contrib.auth.models import User
from django.test import override_settings

from supervisor_guards_django import conf

POLICY = """
name: refunds
version: 1
action: refund
rules:
- {id: large, when: payload.amount > 500, action: review, reason: large-refund, explanation: A person looks at these.}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    with serving(f"sqlite:///{folder}/service.db", folder / "state", policy=POLICY) as running:
        yield running


@pytest.fixture(scope="module")
def shop(service: Running) -> Caller:
    return service.integration()


@pytest.fixture
def ann() -> Iterator[User]:
    with person("ann", *ALL) as user:
        yield user


@contextmanager
def project(service: Running, shop: Caller, token: str | None = None) -> Iterator[Any]:
    """The guard of a project that asks the service."""
    settings = {
        "MODE": "enforce", "BASE_URL": service.base_url, "APP_ID": shop.id, "SECRET": shop.secret,
        "EVALUATE_TIMEOUT_SECONDS": PATIENCE, "REVIEWER_TOKEN": token,
    }  # fmt: skip
    with override_settings(SUPERVISOR_GUARDS=settings, ROOT_URLCONF=URLS):
        try:
            yield conf.guard()
        finally:
            conf.withdraw()


def reviewers_token(service: Running) -> tuple[str, str]:
    """A new reviewer's name, and a token of theirs."""
    name = new_name("rita")
    with service.admin() as http:
        made = http.post("/v1/people", json={"name": name, "role": "reviewer"}).raise_for_status().json()
    return name, service.service.tokens.create(made["id"], "admin", "tests")[1]


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_a_review_is_found_read_and_decided(service: Running, shop: Caller, ann: User, word: str) -> None:
    name, token = reviewers_token(service)
    with project(service, shop, token) as guard:
        action_id, client = held(guard, number=new_name("n")), signed_in(ann)
        address = f"{REVIEWS}{action_id}/change/"
        assert address in client.get(REVIEWS).content.decode()
        assert address in client.get(REVIEWS, {"q": action_id, "action_type": "refund"}).content.decode()
        shown = client.get(address)
        for text in ("large-refund", "A person looks at these.", "someone", "900"):
            assert text in words(shown)
        assert 'name="decision"' in shown.content.decode()
        assert client.post(address, {"decision": word, "notes": "seen"}).status_code == 302
        case = service.service.store.case(action_id)
        assert (case.status, case.approver, case.notes) == (f"{word}{'d' if word[-1] == 'e' else 'ed'}", name, "seen")
        assert LogEntry.objects.filter(object_id=action_id, user_id=ann.pk).count() == 1
        again = client.post(address, {"decision": word})
        assert (again.status_code, name in words(again)) == (409, True)


def test_decisions_are_listed_filtered_and_shown(service: Running, shop: Caller, ann: User) -> None:
    with project(service, shop, reviewers_token(service)[1]) as guard:
        action_id, client = held(guard, number=new_name("n")), signed_in(ann)
        address = f"{DECISIONS}{action_id}/change/"
        listed = client.get(DECISIONS, {"outcome": "review", "rule": "large"})
        assert address in listed.content.decode()
        assert address not in client.get(DECISIONS, {"outcome": "deny"}).content.decode()
        assert "large-refund" in words(client.get(address))
        assert client.get(f"{DECISIONS}none/change/").status_code == 404


def test_nobody_approves_their_own_with_somebody_elses_token(service: Running, shop: Caller, ann: User) -> None:
    for token in (reviewers_token(service)[1], ADMIN_TOKEN):
        with project(service, shop, token) as guard:
            action_id, client = held(guard, "ann", number=new_name("n")), signed_in(ann)
            answer = client.post(f"{REVIEWS}{action_id}/change/", {"decision": "approve"})
            assert answer.status_code == 403
            assert service.service.store.case(action_id).status == "pending"


def test_the_administrators_token_names_who_sits_at_the_desk(service: Running, shop: Caller, ann: User) -> None:
    with project(service, shop, ADMIN_TOKEN) as guard:
        action_id = held(guard, number=new_name("n"))
        signed_in(ann).post(f"{REVIEWS}{action_id}/change/", {"decision": "approve"})
        assert service.service.store.case(action_id).approver == f"admin token, claiming {ann.pk} (ann)"


def test_without_a_token_it_shows_and_says_why_it_decides_nothing(service: Running, shop: Caller, ann: User) -> None:
    with project(service, shop) as guard:
        action_id, client = held(guard, number=new_name("n")), signed_in(ann)
        address = f"{REVIEWS}{action_id}/change/"
        for shown in (client.get(REVIEWS), client.get(address)):
            assert (shown.status_code, "SUPERVISOR_REVIEWER_TOKEN" in words(shown)) == (200, True)
            assert 'name="decision"' not in shown.content.decode()
        assert client.get(DECISIONS).status_code == 200
        answer = client.post(address, {"decision": "approve"})
        assert (answer.status_code, "SUPERVISOR_REVIEWER_TOKEN" in words(answer)) == (403, True)
        assert service.service.store.case(action_id).status == "pending"


def test_a_token_that_is_not_in_force_is_told_in_words(service: Running, shop: Caller, ann: User) -> None:
    with project(service, shop, "sgr_nobodys"):
        answer = signed_in(ann).get(REVIEWS)
        assert (answer.status_code, "refuses the reviewer's token" in words(answer)) == (200, True)
        assert "sgr_nobodys" not in answer.content.decode()
