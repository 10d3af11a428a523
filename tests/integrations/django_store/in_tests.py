"""Tests of the project itself, as its own team would write them: `manage.py test` runs them on test databases."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from django.contrib.auth.models import Group
from django.db import connections
from django.test import TestCase, TransactionTestCase

from supervisor_guards import get_guard
from supervisor_guards_django import databases
from supervisor_guards_django.models import Decision
from tests.integrations.django_store.scenarios import post

ALIASES = set(connections)
MODELS_SHOW = os.environ["STORE_IS_SHARED"] == "yes"


def stored(action_id: str) -> Any:
    return get_guard().supervisor.store.decision(action_id)  # type: ignore[attr-defined]


def place() -> str:
    """The test database that Django is on."""
    return str(connections[databases.tables_alias() or ""].settings_dict["NAME"])


class RolledBack(TestCase):
    databases = ALIASES

    def test_a_refusal_is_recorded_while_the_test_s_own_rows_are_in_a_transaction(self) -> None:
        Group.objects.create(name="mine")
        held = post("/decorator", 5000)
        assert held["status"] == 403
        assert stored(held["action_id"]).outcome == "review"
        assert Decision.objects.filter(action_id=held["action_id"]).exists() == MODELS_SHOW
        print("PLACE", place())

    def test_the_next_test_s_rows_are_its_own(self) -> None:
        assert not Group.objects.filter(name="mine").exists()
        assert post("/middleware", 5)["status"] == 200


class OneDatabase(TestCase):
    """Django lets it use `default` alone; the guard connects by itself."""

    def test_the_guard_works_all_the_same(self) -> None:
        held = post("/inside", 5000)
        assert (held["status"], stored(held["action_id"]).outcome) == (403, "review")


class Flushed(TransactionTestCase):
    databases = ALIASES
    earlier: ClassVar[list[str]] = []

    def asked(self) -> None:
        assert not Decision.objects.filter(action_id__in=self.earlier).exists()
        held = post("/middleware", 5000)
        self.earlier.append(held["action_id"])
        assert (held["status"], stored(held["action_id"]).outcome) == (403, "review")
        assert Decision.objects.filter(action_id=held["action_id"]).exists() == MODELS_SHOW

    def test_one_finds_no_row_of_the_other(self) -> None:
        self.asked()
        print("PLACE", place())

    def test_nor_does_the_other(self) -> None:
        self.asked()
