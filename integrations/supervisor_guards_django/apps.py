"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SupervisorGuardsConfig(AppConfig):
    """`INSTALLED_APPS += ["supervisor_guards_django"]`."""

    name = "supervisor_guards_django"
    label = "supervisor_guards"
    verbose_name = _("Supervisor guards")

    def ready(self) -> None:
        """Say where the default guard comes from, and register the checks. No I/O, and as often as you like."""
        from supervisor_guards_django import checks, conf

        conf.provide()
        checks.register()
