"""The shop as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class Shop(AppConfig):
    name = "example_apps.django_refunds"
    label = "shop"
    verbose_name = "A small shop"
