"""The commands of `supervisor-guards`, one module a subject; `supervisor_guards.cli` puts them together."""
