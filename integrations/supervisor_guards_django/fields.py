"""What the models need and Django's own fields don't say: the engine's column types, to the letter."""

from __future__ import annotations

from typing import Any

from django.db import models


class SegmentField(models.BigIntegerField):
    """A number that we give, and that is SQLite's row id: there its column must be declared INTEGER."""

    def db_type(self, connection: Any) -> str | None:
        """INTEGER on SQLite, else what Django says."""
        usual: Any = super().db_type(connection)
        return "integer" if connection.vendor == "sqlite" else usual


class CharacterwiseField(models.TextField):
    """A text in the C order of characters, in which a PostgreSQL index finds the ids that begin so."""

    def db_parameters(self, connection: Any) -> Any:
        """Django's, with the collation; SQLite compares so anyway, and knows no collation of this name."""
        found = super().db_parameters(connection)
        return {**found, "collation": "C"} if connection.vendor == "postgresql" else found


class KeyField(models.TextField):
    """A text as primary key, without the second index for LIKE that Django gives any column of type "text"."""

    def db_type(self, connection: Any) -> str | None:
        """The same type under a name that Django takes for none of its own."""
        return "TEXT"


class NotEqual(models.Lookup):
    """`column <> value`, as the engine's queries have it: a partial index serves what repeats its condition.

    Django's own `~Q(column=value)` is `NOT (column = value)`, which neither database finds the same.
    """

    lookup_name = "not_equal"

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """The comparison."""
        left, left_values = self.process_lhs(compiler, connection)
        right, right_values = self.process_rhs(compiler, connection)
        return f"{left} <> {right}", (*left_values, *right_values)
