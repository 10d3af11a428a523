"""`manage.py open_shop`: the tables, and the first day."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Make the tables, and bring the shop's first day back."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        call_command("flush", verbosity=0, interactive=False)
        call_command("loaddata", "first_day", verbosity=0)
