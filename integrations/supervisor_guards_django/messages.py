"""What system checks say, as Django's messages: a sentence that names the value, and a hint that says what to do."""

from __future__ import annotations

import re

from django.core import checks

_ADVICE = re.compile(r": (?=(?:give|choose|write|name|list|remove|install)\b)|; (?=did you mean\b)")


def parted(problem: str) -> tuple[str, str | None]:
    """A problem's sentence, and what it says to do about it."""
    found = _ADVICE.search(problem)
    if found is None:
        return sentence(problem), "See the settings reference for what it may be."
    return problem[: found.start()] + ".", sentence(problem[found.end() :])


def sentence(text: str) -> str:
    """`text` with a capital letter and an end."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(("?", ".")) else ".")


def error(identity: str, text: str, hint: str | None) -> checks.CheckMessage:
    """The error `supervisor_guards.<identity>`."""
    return checks.Error(text, hint=hint, id=f"supervisor_guards.{identity}")


def warning(identity: str, text: str, hint: str | None) -> checks.CheckMessage:
    """The warning `supervisor_guards.<identity>`."""
    return checks.Warning(text, hint=hint, id=f"supervisor_guards.{identity}")
