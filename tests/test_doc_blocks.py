"""Every code block of README.md and docs/*.md runs: what a reader copies works.

One page is one test; its blocks run in order, in one temporary folder, with no `SUPERVISOR_*` or `DJANGO_*` setting,
and with the URL of a chat's incoming webhook, a real server, in `CHAT_WEBHOOK_URL`:

- `python` blocks share one namespace;
- `yaml` blocks with `rules:` are policies: they are loaded and their stored tests run; other `yaml` is
  parsed;
- `console` blocks: each line that starts with `$ ` runs in bash with this environment's commands on PATH,
  `> ` continues it, `$ export NAME=value` lasts for the page. The lines below it have to appear in its
  output, in that order; `...` stands for anything.

Comments straight above a block, one a line:

- `<!-- file: NAME -->` the block is also written to NAME in the folder (a policy is else supervisor.yaml)
- `<!-- exit: 2 -->` the exit status of the block's last command, 0 where nothing is said
- `<!-- module: NAME -->` the block is written to NAME and compiled, and runs where a later command imports it: what
  would be set up once a process, such as a Django project, stays out of this one
- `<!-- append: NAME -->` the same, at the end of the file
- `<!-- skip: REASON -->` the block doesn't run; a file that is named is written all the same

Another language is not run.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from sybil import Document
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

COMMENTS = re.compile(r"((?:^[ \t]*<!--[^\n]*-->[ \t]*\n)+)\Z", re.MULTILINE)
COMMENT = re.compile(r"<!--\s*(\w+):\s*(.*?)\s*-->")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
KNOWN = {"file", "exit", "module", "append", "skip"}
ALIASES = {
    **dict.fromkeys(["py", "python3", "pycon"], "python"),
    **dict.fromkeys(["sh", "bash", "shell"], "console"),
    "yml": "yaml",
}
"""Spellings that would slip past the runner."""


@dataclass
class Block:
    page: Path
    line: int
    """Where the block's first line of code stands in the page."""
    heading: str
    language: str
    source: str
    notes: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line} ({self.heading})"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    document = Document(text, str(page))
    lexer = FencedCodeBlockLexer(language=r"[^\n]*")
    for region in sorted(lexer(document), key=lambda region: region.start):
        before = text[: region.start]
        above = COMMENTS.search(before)
        headings = HEADING.findall(before)
        yield Block(
            page=page,
            line=before.count("\n") + 2,
            heading=headings[-1] if headings else "top",
            language=region.lexemes["language"].strip(),
            source=str(region.lexemes["source"]),
            notes=dict(COMMENT.findall(above.group(1))) if above else {},
        )


class Page:
    """Runs the blocks of one page in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.exported: dict[str, str] = {}

    def run(self, block: Block) -> None:
        assert block.notes.keys() <= KNOWN, f"{block}: unknown comment, use one of {sorted(KNOWN)}"
        right = ALIASES.get(block.language)
        assert right is None, f"{block}: write ```{right}, or it doesn't run"
        if elsewhere := block.notes.keys() & {"module", "append"}:
            self.module(block, elsewhere.pop())
            return
        policy = block.language == "yaml" and re.search(r"^rules:", block.source, re.MULTILINE) is not None
        name = block.notes.get("file", "supervisor.yaml" if policy and "skip" not in block.notes else None)
        if name is not None:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.source, encoding="utf-8")
        if "skip" in block.notes:
            assert block.notes["skip"], f"{block}: say why it is skipped"
        elif policy:
            assert name is not None
            self.policy(name)
        elif block.language == "yaml":
            list(yaml.safe_load_all(block.source))
        elif block.language == "python":
            self.python(block)
        elif block.language == "console":
            self.console(block)

    def python(self, block: Block) -> None:
        # Empty lines above, so that a traceback names the page's own lines.
        code = compile("\n" * (block.line - 1) + block.source, str(block.page), "exec", dont_inherit=True)
        exec(code, self.namespace)

    def module(self, block: Block, note: str) -> None:
        assert block.language == "python", f"{block}: only python is imported"
        compile(block.source, str(block.page), "exec", dont_inherit=True)
        path = self.folder / block.notes[note]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if note == "module" else "a", encoding="utf-8") as file:
            file.write(f"\n\n{block.source}")

    def policy(self, name: str) -> None:
        output, status = self.execute(f"supervisor-guards policy test {shlex.quote(name)}")
        assert status == 0, output

    def console(self, block: Block) -> None:
        commands = transcript(block.source)
        assert commands, f"{block}: no line starts with '$ '"
        for number, (command, expected) in enumerate(commands, start=1):
            output, status = self.execute(command)
            wanted = int(block.notes.get("exit", 0)) if number == len(commands) else 0
            assert status == wanted, f"{block}: `{command}` exited with {status}\n{output}"
            absent = first_absent(expected, output)
            assert absent is None, f"{block}: `{command}` didn't print {absent!r}; it printed\n{output}"

    def execute(self, command: str) -> tuple[str, int]:
        """Output, both streams as a terminal shows them, and exit status of a shell command."""
        if command.startswith("export "):
            self.exported.update(word.split("=", 1) for word in shlex.split(command)[1:])
            return "", 0
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={**environment(), **self.exported},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout, done.returncode


def environment() -> dict[str, str]:
    """The process's own, with this interpreter's commands first and a terminal of known width."""
    here = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "integrations")]),
        "COLUMNS": "110",
        "NO_COLOR": "1",
        "TERM": "dumb",
    }
    return {**os.environ, **here}


def transcript(source: str) -> list[tuple[str, list[str]]]:
    """A console block as (command, the lines of output below it)."""
    commands: list[tuple[str, list[str]]] = []
    for line in source.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif commands and line.startswith("> ") and not commands[-1][1]:
            command, output = commands[-1]
            commands[-1] = (f"{command}\n{line[2:]}", output)
        elif commands and line.strip():
            commands[-1][1].append(line.rstrip())
    return commands


def first_absent(expected: list[str], output: str) -> str | None:
    """The first expected line that the output doesn't have at its place; `...` stands for anything."""
    lines = iter(line.rstrip() for line in output.splitlines())
    for wanted in expected:
        if wanted.strip() == "...":
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("...")))
        if not any(pattern.fullmatch(line) for line in lines):
            return wanted
    return None


class Chat(ThreadingHTTPServer):
    """Takes messages as an incoming webhook does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Webhook)
        self.posted: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/secret"


class Webhook(BaseHTTPRequestHandler):
    server: Chat

    def do_POST(self) -> None:
        self.server.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""


@pytest.fixture
def chat() -> Iterator[Chat]:
    with Chat() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chat: Chat) -> Iterator[Page]:
    from supervisor_guards import config

    # A page may set variables itself: the whole environment is put back, not only what is deleted here.
    before = dict(os.environ)
    for name in before:
        if name.startswith(("SUPERVISOR_", "DJANGO_")):  # another test of this process may have a project
            del os.environ[name]
    os.environ |= {"CHAT_WEBHOOK_URL": chat.url, "NO_PROXY": "127.0.0.1"}
    monkeypatch.chdir(tmp_path)
    config.reset_for_tests()
    try:
        yield Page(tmp_path)
    finally:
        config.reset_for_tests()
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_runs(page: Path, runner: Page) -> None:
    for block in blocks(page):
        try:
            runner.run(block)
        except Exception as error:
            raise AssertionError(f"{block}: {type(error).__name__}: {error}") from error


def test_the_chat_recipe_tells_what_a_reviewer_needs_and_no_more(
    runner: Page, chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for block in blocks(ROOT / "docs" / "hooks.md"):
        runner.run(block)
    (message,) = chat.posted
    waits = "`refund` waits for a person: `large-refund`. See it: `supervisor-guards reviews show "
    assert message["text"].startswith(waits)
    assert "pi_3" not in message["text"]
    assert "3000" not in message["text"]
    assert "/services/secret" not in caplog.text

    event = runner.namespace["Event"]
    evil = "`<!channel>\n@here\u202e [x](http://evil.example) &" + "x" * 5_000
    runner.namespace["WEBHOOK"] = chat.url
    hook = runner.namespace["tell_chat"]
    hook(event("review", "id-1", evil, "enforce", "review", "review", (evil,), ()))
    hook(event("resolution", "id-1", evil, "enforce", "review", "review", (), (), status="approved", approver=evil))
    for message in chat.posted[1:]:
        text = message["text"]
        assert text.isprintable()
        assert "<" not in text
        assert len(text) < 700
        outside = "".join(text.split("`")[::2])  # what is in no code span
        assert not [part for part in ("channel", "@here", "evil.example") if part in outside]


# -- The runner itself -----------------------------------------------------------------------------------


def page_of(folder: Path, text: str) -> list[Block]:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return list(blocks(path))


def test_blocks_know_their_place(tmp_path: Path) -> None:
    one = "# One\n\n```python\na = 1\n```\n\n"
    two = "## Two\n\n<!-- file: b.py -->\n<!-- skip: no -->\n```python\nb = 2\n```\n"
    first, second = page_of(tmp_path, one + two)
    assert (first.line, first.heading, first.source, first.notes) == (4, "One", "a = 1\n", {})
    assert (second.line, second.heading, second.notes) == (12, "Two", {"file": "b.py", "skip": "no"})


def test_python_blocks_share_names_and_fail_at_the_page_s_line(tmp_path: Path) -> None:
    page = Page(tmp_path)
    first, second = page_of(tmp_path, "```python\na = 1\n```\n\n```python\nassert a == 2\n```\n")
    page.run(first)
    with pytest.raises(AssertionError) as caught:
        page.run(second)
    assert caught.traceback[-1].lineno + 1 == 6


def test_console_compares_output_and_status(tmp_path: Path) -> None:
    page = Page(tmp_path)
    good, other_output, other_status = page_of(
        tmp_path,
        "```console\n$ export NAME=Ada\n"
        '$ echo one; \\\n> echo "hello $NAME, at $PWD"\nhello Ada, at ...\n```\n\n'
        "```console\n$ echo one\ntwo\n```\n\n"
        "<!-- exit: 3 -->\n```console\n$ exit 4\n```\n",
    )
    page.run(good)
    with pytest.raises(AssertionError, match="didn't print 'two'"):
        page.run(other_output)
    with pytest.raises(AssertionError, match="exited with 4"):
        page.run(other_status)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<!-- skip: -->\n```python\n1 / 0\n```\n", "say why"),
        ("<!-- skpi: typo -->\n```python\npass\n```\n", "unknown comment"),
        ("```bash\nfalse\n```\n", "write ```console"),
        ("```py\n1 / 0\n```\n", "write ```python"),
        ("```console\nmake test\n```\n", "no line starts with"),
    ],
)
def test_a_block_can_t_slip_through(tmp_path: Path, text: str, complaint: str) -> None:
    (block,) = page_of(tmp_path, text)
    with pytest.raises(AssertionError, match=complaint):
        Page(tmp_path).run(block)


def test_a_module_runs_where_it_is_imported(tmp_path: Path) -> None:
    page = Page(tmp_path)
    first, second, command = page_of(
        tmp_path,
        "<!-- module: one.py -->\n```python\na = 1\n```\n\n<!-- append: one.py -->\n```python\nprint(a + 1)\n```\n\n"
        "```console\n$ python one.py\n2\n```\n",
    )
    for block in (first, second, command):
        page.run(block)
    assert list(page.namespace) == ["__name__"]


def test_skipped_block_doesn_t_run(tmp_path: Path) -> None:
    (block,) = page_of(tmp_path, "<!-- skip: needs a service -->\n```python\n1 / 0\n```\n")
    page = Page(tmp_path)
    page.run(block)
    assert list(page.namespace) == ["__name__"]
