"""The shop's tables in Django's admin."""

from __future__ import annotations

from django.contrib import admin

from example_apps.django_refunds.models import Account, Email, Order

admin.site.register([Account, Order, Email])
