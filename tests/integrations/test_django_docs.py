"""The page for Django's users says what the adapter does."""

from __future__ import annotations

import re
from pathlib import Path

import supervisor_guards_django

PAGE = Path(__file__).parents[2] / "docs" / "django.md"
PACKAGE = Path(supervisor_guards_django.__file__).parent


def test_every_system_check_is_in_the_table() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    made = set(re.findall(r'"(?:supervisor_guards\.)?([EW]\d{3})"', sources))
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- checks: begin -->")
    table, end, _ = rest.partition("<!-- checks: end -->")
    listed = re.findall(r"^\| `supervisor_guards\.([EW]\d{3})` \| [^|]+ \| [^|]+ \|$", table, re.MULTILINE)
    assert end
    assert listed == sorted(made)
