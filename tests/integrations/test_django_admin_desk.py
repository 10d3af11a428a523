"""What the admin says where the record can't be read, or not be decided, from here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.django_admin import (
    ALL,
    DECISIONS,
    POLICY,
    REVIEWS,
    URLS,
    admin_of,
    held,
    person,
    signed_in,
    words,
)

from django.contrib.auth.models import User  # isort: skip
from django.test import override_settings

from supervisor_guards import Guard, GuardConfig
from supervisor_guards._default import set_guard
from supervisor_guards.config import inject_client_for_tests, reset_for_tests
from supervisor_guards.embedded.desk import ReviewDesk
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor
from supervisor_guards.web import NoDesk
from supervisor_guards_django import conf


@pytest.fixture
def ann() -> Iterator[User]:
    with person("ann", *ALL) as user:
        yield user


def page(action_id: str) -> str:
    return f"{DECISIONS}{action_id}/change/"


@pytest.mark.parametrize("address", [DECISIONS, page("a-000"), REVIEWS, f"{REVIEWS}a-000/change/"])
def test_a_store_that_fails_is_told_in_words(tmp_path: Path, ann: User, address: str) -> None:
    client = signed_in(ann)
    with admin_of(tmp_path) as guard:
        guard.supervisor.store.close()
        answers = [client.get(address), client.post(address, {"decision": "approve"})]
    assert answers[0].status_code == 503
    assert "can't be read just now" in words(answers[0])
    assert "is closed" in words(answers[0])
    assert answers[1].status_code in (405, 503)


def test_settings_that_can_t_work_are_told_in_words(tmp_path: Path, ann: User) -> None:
    with guards_settings(MODE="enforce", POLICY=str(tmp_path / "missing.yaml"), STATE_DIR=str(tmp_path)):
        answer = signed_in(ann).get(DECISIONS)
    assert answer.status_code == 503
    assert "missing.yaml" in words(answer)


@contextmanager
def guards_settings(**written: Any) -> Iterator[None]:
    """These settings, whether or not a guard can be made of them."""
    with override_settings(SUPERVISOR_GUARDS=written, ROOT_URLCONF=URLS):
        try:
            yield
        finally:
            conf.withdraw()


class Elsewhere:
    """A client of a supervisor that can't be read from here."""

    def close(self) -> None: ...


@pytest.mark.parametrize("address", [DECISIONS, page("a-000"), REVIEWS, f"{REVIEWS}a-000/change/"])
def test_a_supervisor_that_keeps_its_record_elsewhere_is_told_in_words(ann: User, address: str) -> None:
    inject_client_for_tests(Elsewhere())
    try:
        with override_settings(ROOT_URLCONF=URLS):
            answer = signed_in(ann).get(address)
    finally:
        reset_for_tests()
    assert answer.status_code == 200
    assert "where it keeps them" in words(answer)
    assert "<form method" not in answer.content.decode().split("content-main")[1]


class ReadOnlyDesk(ReviewDesk):
    """A desk without a reviewer's token."""

    read_only = "set SUPERVISOR_REVIEWER_TOKEN to decide reviews from here"

    def resolve(self, *args: Any) -> Any:
        raise NoDesk(self.read_only)


class ReadOnly(EmbeddedSupervisor):
    def desk(self) -> ReviewDesk:
        return ReadOnlyDesk(self.store)


def test_a_read_only_desk_says_why_and_decides_nothing(tmp_path: Path, ann: User) -> None:
    (tmp_path / "supervisor.yaml").write_text(POLICY)
    config = GuardConfig(
        enforcement_mode="enforce", policy=str(tmp_path / "supervisor.yaml"), state_dir=str(tmp_path / "state")
    )
    guard = Guard(config, ReadOnly.from_config(config))
    set_guard(guard)
    try:
        with override_settings(ROOT_URLCONF=URLS):
            action_id, client = held(guard), signed_in(ann)
            address = f"{REVIEWS}{action_id}/change/"
            for shown in (client.get(REVIEWS), client.get(address)):
                assert "SUPERVISOR_REVIEWER_TOKEN" in words(shown)
                assert 'name="decision"' not in shown.content.decode()
            answer = client.post(address, {"decision": "approve"})
            assert (answer.status_code, "SUPERVISOR_REVIEWER_TOKEN" in words(answer)) == (403, True)
            assert guard.supervisor.review(action_id).status == "pending"
    finally:
        reset_for_tests()
