"""The variant `enforce` of `server_app` by itself, with its lifespan."""

from __future__ import annotations

from tests.integrations.server_app import app as variants

app = variants.make("enforce")
