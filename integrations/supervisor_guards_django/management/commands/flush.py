"""Django's `flush`, which ends every `TransactionTestCase` too: nobody writes the tables while they are emptied."""

from __future__ import annotations

from typing import Any

from django.core.management.commands.flush import Command as Flush

from supervisor_guards_django import conf


class Command(Flush):
    """Where the supervisor's tables are in the database to empty, the guard of this process lets go of them first.

    Its background thread would otherwise write in the middle, which PostgreSQL calls a deadlock.
    """

    def handle(self, **options: Any) -> None:
        """Empty the database."""
        if options["database"] == conf.current().alias:
            conf.renew()
        super().handle(**options)
