"""For ASGI servers: `uvicorn example_apps.django_refunds.asgi:application`."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

from supervisor_guards_django.asgi import guard_lifespan

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_apps.django_refunds.settings")
application = guard_lifespan(get_asgi_application())
