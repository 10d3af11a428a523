"""axe-core, as the tests of pages ask it (WCAG 2.2 A and AA)."""

from __future__ import annotations

from importlib.resources import files

from playwright.sync_api import Page

__all__ = ["found_by_axe"]

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def found_by_axe(page: Page) -> list[str]:
    """What axe finds: rule, and where. Evaluated by the debugger, it needs no hole in the page's policy."""
    page.evaluate(AXE)
    result = page.evaluate("tags => axe.run({runOnly: {type: 'tag', values: tags}})", TAGS)
    return [f"{one['id']}: {[node['target'] for node in one['nodes']][:3]}" for one in result["violations"]]
