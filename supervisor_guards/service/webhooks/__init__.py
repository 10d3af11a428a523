"""Webhooks: who is told of what, the outbox, and its delivery."""
