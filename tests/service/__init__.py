"""The service, as its callers see it."""
