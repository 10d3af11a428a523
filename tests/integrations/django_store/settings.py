"""Its settings: those that a test gives, in the variable DJANGO_STORE."""

from __future__ import annotations

import json
import os

SECRET_KEY = "not-secret"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "tests.integrations.django_store.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "supervisor_guards_django",
]
MIDDLEWARE = ["supervisor_guards_django.middleware.SupervisorMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}

globals().update(json.loads(os.environ["DJANGO_STORE"]))
