"""The project's settings. What begins with SUPERVISOR or GUARDS is all that the guards need."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(os.environ.get("SHOP_FOLDER", "."))
"""Where the shop keeps its database."""

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "this key opens the example only")
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "example_apps.django_refunds.urls"
WSGI_APPLICATION = "example_apps.django_refunds.wsgi.application"
ASGI_APPLICATION = "example_apps.django_refunds.asgi.application"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "example_apps.django_refunds.apps.Shop",
    "supervisor_guards_django",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "supervisor_guards_django.middleware.SupervisorMiddleware",
]
SUPERVISOR_GUARDS = {
    "POLICY": str(Path(__file__).with_name("supervisor.yaml")),
    "USER_RESOLVER": "example_apps.django_refunds.senders.who",
    "REVIEW_URL": "/reviews",
    "RULES": [
        {
            "route": "POST /emails",
            "action": "email_send",
            "payload": ["body.recipients", "body.subject", "body.body"],
        },
        {"route": "delete-account", "methods": ["DELETE"], "action": "account_deletion", "payload": ["path.account"]},
    ],
}
"""No `MODE`: the environment says it (`SUPERVISOR_ENFORCEMENT_MODE`), and without a word it is shadow."""

DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "shop.sqlite3", "ATOMIC_REQUESTS": True},
}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["example_apps.django_refunds.senders.TokenAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
