"""The public API as a user's type checker sees it: `tests/typing/api.py` under mypy --strict and pyright."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
API = "tests/typing/api.py"
CHECKERS = {
    "mypy": ["-m", "mypy", "--strict", "--warn-unused-ignores", API],
    "pyright": ["-m", "pyright", "--warnings", "--pythonpath", sys.executable, API],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_api_is_typed(checker: str) -> None:
    done = subprocess.run([sys.executable, *CHECKERS[checker]], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
