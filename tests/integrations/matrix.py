"""The matrix of the parity suite, as the documentation shows it: case by adapter, what is answered in enforce.

`python -m tests.integrations.matrix` writes it anew into docs/parity.md.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.integrations import contract
from tests.integrations.in_process import Site, keyed
from tests.integrations.parity import SITES

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"
BEGIN, END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->\n"

BY_VERSION = {"multipart: a type in capitals"}
"""What versions of one framework answer differently: checked as everything is, and not shown."""


class Column:
    """What one application answered: by the case's name, in words; and the digests of what it judged."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self.own = own
        self.words: dict[str, str] = {}
        self.digests: dict[str, str | None] = {}


def measured() -> dict[str, Column]:
    """The column of every application, in enforce."""
    found = {}
    for name, site in SITES.items():
        with tempfile.TemporaryDirectory() as folder, keyed(), site(Path(folder), "enforce") as one:
            found[name] = _column(one)
    return found


def _column(site: Site) -> Column:
    column = Column(site.own)
    for case in contract.CASES:
        answer = site.send(case)
        column.words[case.name] = _word(answer, bool(site.ran))
        for row in site.rows():
            column.digests[case.name] = row.digest
    for story in contract.STORIES:
        last = contract.play(site, story, "enforce")
        assert last is not None
        column.words[story.name] = _word(last, bool(site.ran))
    return column


def _word(answer: contract.Answer, ran: bool) -> str:
    """`ran`, the end of the problem's type, or the framework's own status."""
    if ran:
        return "ran"
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        if not answer.body:
            return f"{answer.status}"
        return f"{answer.status} {json.loads(answer.body)['type'].rpartition('/')[2]}"
    return str(answer.status)


def rendered(columns: Mapping[str, Column]) -> str:
    """One table under each subject. A row that is the same everywhere has its answer once."""
    groups = {
        **{subject: [case.name for case in cases] for subject, cases in contract.SUBJECTS.items()},
        "Approvals and replays": [story.name for story in contract.STORIES],
    }
    return "\n".join(_table(subject, names, columns) for subject, names in groups.items())


def _table(subject: str, names: list[str], columns: Mapping[str, Column]) -> str:
    alike, unlike = [], []
    for name in names:
        if name in BY_VERSION:
            continue
        words = [column.words[name] for column in columns.values()]
        if len(set(words)) == 1:
            alike.append(f"| {_shown(name)} | {words[0]} |")
            continue
        usual = max(words, key=words.count)
        unlike.append("| " + " | ".join([_shown(name), *(w if w == usual else f"*{w}*" for w in words)]) + " |")
    text = f"## {subject}\n"
    if alike:
        text += "\n| the same everywhere | answer |\n|---|---|\n" + "\n".join(alike) + "\n"
    if unlike:
        header = "| read differently | " + " | ".join(columns) + " |"
        text += f"\n{header}\n|{'---|' * (len(columns) + 1)}\n" + "\n".join(unlike) + "\n"
    return text


def _shown(name: str) -> str:
    return name.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def main() -> None:
    """Write the matrix into the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(before + BEGIN + rendered(measured()) + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
