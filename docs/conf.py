"""Settings of the documentation build: `make docs`."""

import re
from pathlib import Path

pyproject = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
declared = re.search(r'^version = "([^"]+)"', pyproject, re.MULTILINE)
assert declared is not None

project = "supervisor-guards"
author = "the supervisor-guards authors"
release = version = declared.group(1)

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
nitpicky = True

myst_heading_anchors = 3  # pages link to each other's sections by their headings
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = f"supervisor-guards {release}"
