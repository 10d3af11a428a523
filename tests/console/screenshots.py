"""Images of the console's pages, light, dark and on a phone: `python -m tests.console.screenshots FOLDER`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.console.browsing import PHONE, WIDE, chromium, sign_in, window
from tests.console.scene import Scene, administered, scene
from tests.service.serving import payload

LOOKS = {
    "light": {"viewport": WIDE, "color_scheme": "light"},
    "dark": {"viewport": WIDE, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "device_scale_factor": 2},
}


def pages(shown: Scene) -> dict[str, str]:
    """Address of each page by its name."""
    shown.seed()
    first = shown.ask(60, agent_context={"user_id": "ada", "session_id": "s-1"}, subject="ada")["id"]
    shown.ask(75, subject="grace", payload=payload(75, soon=True))
    shown.ask(5)
    denied = shown.ask(500, agent_context={"user_id": "ada"})["id"]
    return {
        "overview": "/",
        "decisions": "/decisions",
        "decision": f"/decisions/{denied}",
        "reviews": "/reviews",
        "review": f"/reviews/{first}",
        "policies": "/policies",
        "policy": f"/policies/{shown.new_policy()}",
        **administered(shown),
    }


def main(folder: Path) -> None:
    """Write one image for each page and look into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as state,
        scene(Path(state), webhook_private=True) as shown,
        chromium() as browser,
    ):
        places = pages(shown)
        for look, options in LOOKS.items():
            with window(browser, **options) as page:
                page.goto(f"{shown.address}/sign-in")
                page.screenshot(path=folder / f"sign-in-{look}.png")
                sign_in(page, shown.address, shown.people["administrator"])
                for name, place in places.items():
                    page.goto(shown.address + place)
                    page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
                page.goto(shown.address + places["review"])
                page.get_by_role("button", name="Approve").click()
                page.get_by_role("heading", name="Confirm").wait_for()
                page.screenshot(path=folder / f"approve-{look}.png", full_page=True)
                page.goto(shown.address + places["integration"])
                page.get_by_role("button", name="New secret…").click()
                page.get_by_role("heading", name="Confirm").wait_for()
                page.screenshot(path=folder / f"confirm-{look}.png", full_page=True)
                page.get_by_role("checkbox").check()
                page.get_by_role("button", name="Make a new secret").click()
                page.get_by_role("region", name="The secret").wait_for()
                page.screenshot(path=folder / f"secret-{look}.png", full_page=True)
                page.goto(shown.address + places["people"])
                page.get_by_label("Name").fill(shown.people["viewer"])
                page.get_by_role("button", name="Make the account").click()
                page.get_by_role("alert").wait_for()
                page.screenshot(path=folder / f"refused-{look}.png", full_page=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
