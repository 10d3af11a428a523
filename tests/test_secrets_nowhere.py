"""A marked secret is nowhere outside the process: not in the store's bytes, logs, exceptions, exports or evidence."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from click.testing import CliRunner
from engine import POLICY, default_guard, settings
from hypothesis import given
from hypothesis import strategies as st

from supervisor_guards import (
    Guard,
    PayloadUnusable,
    ReviewRejected,
    SupervisorBlocked,
    approved,
    guarded,
    observing,
    supervised,
)
from supervisor_guards._redaction import Redactor
from supervisor_guards.cli import main
from supervisor_guards.config import get_client
from supervisor_guards.embedded.desk import Principal, ReviewDesk

WINDOW = 6
"""Characters of a secret that say something about it."""
SECRET = "ZQ7XWJ9KVZ2QX4WV8J"
CARD = "4539-5787-6362-1486"

PLACES: dict[str, Callable[[str], Any]] = {
    "name": lambda secret: {"password": secret},
    "name in camelCase": lambda secret: {"clientSecret": secret},
    "name of a header": lambda secret: {"X-Api-Key": secret},
    "below a name": lambda secret: {"credentials": {"user": "ann", "list": [[secret]]}},
    "pair": lambda secret: ["Authorization", secret],
    "name and value": lambda secret: {"name": "api_key", "value": secret},
    "options": lambda secret: ["deploy", "--token", secret, "--dry-run"],
    "JSON text": lambda secret: json.dumps({"a": [{"password": secret}]}),
    "JSON text in JSON text": lambda secret: json.dumps({"body": json.dumps({"password": secret})}),
    "JSON after a word": lambda secret: f"body: {json.dumps({'password': [secret, {'a': secret}]})} end",
    "printed mapping": lambda secret: str({"note": "a", "password": secret}),
    "printed pairs": lambda secret: str([("Cookie", secret), (b"x-api-key", secret.encode())]),
    "printed object": lambda secret: f"User(name='ann', password='{secret}')",
    "query": lambda secret: "https://shop.example/pay?" + urlencode({"page": 1, "token": secret, "next": 2}),
    "query with an escaped name": lambda secret: f"https://shop.example/?api%5Fkey={quote(secret)}",
    "fragment": lambda secret: f"https://shop.example/cb#access_token={secret}&state=1",
    "userinfo": lambda secret: f"postgresql+psycopg://app:{secret}@db.example:5432/shop",
    "user of an address": lambda secret: f"https://{secret}@git.example/x.git",
    "form": lambda secret: urlencode({"user": "ann", "user[password]": secret}),
    "bearer": lambda secret: f"Bearer {secret}",
    "header lines": lambda secret: (
        f"GET / HTTP/1.1\r\nAuthorization: Custom a={secret}\r\nCookie: a=1; sid={secret}\r\n"
    ),
    "basic": lambda secret: "Basic " + base64.b64encode(f"ann:{secret}".encode()).decode(),
    "command": lambda secret: f"curl -u ann:{secret} -H 'X-Api-Key: {secret}' --password {secret} https://x.example",
    "YAML": lambda secret: f"user: ann\npassword: |\n  {secret}\n  {secret}\nnext: 1\n",
    "XML": lambda secret: f"<login><user>ann</user><password>{secret}</password></login>",
    "private key": lambda secret: f"-----BEGIN PRIVATE KEY-----\n{secret}\n{secret}\n-----END PRIVATE KEY-----\n",
    "private key cut off": lambda secret: f"-----BEGIN RSA PRIVATE KEY-----\n{secret}",
}


def found(secret: str, text: str | bytes, window: int = WINDOW) -> str | None:
    """The first piece of `secret` that is in `text`."""
    pieces = [secret[start : start + window] for start in range(len(secret) - window + 1)]
    whole = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    return next((piece for piece in pieces if piece.encode() in whole), None)


def nowhere(what: str, text: str | bytes) -> None:
    assert found(SECRET, text) is None, what
    assert found(CARD, text, 9) is None, what
    assert found(CARD.replace("-", ""), text, 9) is None, what


# -- Any payload -----------------------------------------------------------------------------------------

secrets = st.text("QZXJKVW0123456789", min_size=8, max_size=24).filter(lambda text: not text.isdigit())
words = st.text("aeiou .,;!\n", max_size=12)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner | words, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from(["a", "note", "items", "user"]), inner | words | st.integers(), max_size=3),
        inner.map(json.dumps),
        st.tuples(words, inner.map(json.dumps)).map(lambda pair: f"{pair[0]} {pair[1]}"),
    )


@given(st.data(), secrets)
def test_whatever_the_payload_no_piece_of_a_secret_is_left(data: st.DataObject, secret: str) -> None:
    marked = st.sampled_from([place(secret) for place in PLACES.values()])
    payload = data.draw(st.recursive(marked, nested, max_leaves=5))
    redacted = json.dumps(Redactor().redact({"field": payload, "n": 1}), ensure_ascii=False)
    assert found(secret, redacted) is None
    assert redacted.endswith('"n": 1}')


# -- Real calls ------------------------------------------------------------------------------------------

RULES = """
  - {id: number, when: int(payload.note) > 5, action: review, reason: a-number}
"""


def everything() -> dict[str, Any]:
    """Secrets in each place there is."""
    return {**{name: place(SECRET) for name, place in PLACES.items()}, "card": f"card {CARD}", "note": f"pin={SECRET}"}


class Listener(logging.Handler):
    """Keeps all of what was logged, with extras and tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard += [self.format(record), repr(record.__dict__)]


@pytest.fixture
def listener() -> Iterator[Listener]:
    logger = logging.getLogger("supervisor_guards")
    made, level = Listener(), logger.level
    logger.addHandler(made)
    logger.setLevel(logging.DEBUG)
    yield made
    logger.removeHandler(made)
    logger.setLevel(level)


def exceptions(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
        yield "".join(traceback.format_exception_only(type(error), error))
        error = error.__cause__ or error.__context__


def files(folder: Path) -> None:
    names = [file for file in (folder / ".supervisor").rglob("*") if file.is_file()]
    assert any(file.suffix == ".db" for file in names)
    for file in names:
        nowhere(file.name, file.read_bytes())


def searched(guard: Guard, folder: Path, listener: Listener, rows: int) -> None:
    """Look for the secrets wherever a call leaves something."""
    assert guard.flush()
    files(folder)
    decisions = ReviewDesk(guard.supervisor.store).decisions()  # type: ignore[attr-defined]
    assert len(decisions) == rows
    for row in decisions:
        nowhere("evidence", json.dumps(get_client().get_evidence(row.action_id)))
    guard.close()
    files(folder)
    assert listener.heard
    nowhere("log", "\n".join(listener.heard))
    for command in (("--export", "-"), ("--json",), ()):
        result = CliRunner().invoke(
            main, ["decisions", *command], env={"SUPERVISOR_STATE_DIR": str(folder / ".supervisor")}
        )
        assert result.exit_code == 0, result.output
        assert result.stdout.count("\n") >= rows
        nowhere(" ".join(command), result.output)


def spend(amount: int, password: str, details: dict[str, Any]) -> str:
    return "done"


def broken(amount: int, password: str, details: dict[str, Any]) -> str:
    raise ValueError(f"{password} {details}")


def test_shadow(tmp_path: Path, listener: Listener) -> None:
    with default_guard(settings(tmp_path, "shadow", POLICY + RULES)) as guard, observing(**everything()):
        for amount in (5, 5_000, 50_000):
            assert supervised("refund")(spend)(amount, SECRET, everything()) == "done"
            assert guarded("refund", {"amount": amount, **everything()}, lambda: "done") == "done"
        searched(guard, tmp_path, listener, 6)


def test_refusals(tmp_path: Path, listener: Listener) -> None:
    def described(amount: int, password: str, details: dict[str, Any]) -> Any:
        raise ValueError(f"{password} {details}")

    with default_guard(settings(tmp_path, policy=POLICY)) as guard, observing(**everything()):
        with pytest.raises(SupervisorBlocked) as denied:
            supervised("refund")(spend)(50_000, SECRET, everything())
        with pytest.raises(PayloadUnusable) as undescribed:
            supervised("refund", payload=described)(spend)(5, SECRET, everything())
        with pytest.raises(SupervisorBlocked) as unreadable:
            guarded("refund", {**everything(), "amount": f"Bearer {SECRET}"}, lambda: "done")
        for caught in (denied, undescribed, unreadable):
            nowhere("exception", "\n".join(exceptions(caught.value)))
        searched(guard, tmp_path, listener, 3)


def test_a_rule_that_fails_on_a_secret(tmp_path: Path, listener: Listener) -> None:
    with default_guard(settings(tmp_path, policy=POLICY + RULES, default_on_review="fail_closed")) as guard:
        decision = guard.check("refund", {"amount": 5, **everything()})
        nowhere("exception", "\n".join(exceptions(decision.error)))
        assert "rule-error:number" in decision.reasons
        searched(guard, tmp_path, listener, 1)


def test_a_review_that_is_rejected_and_one_that_runs(tmp_path: Path, listener: Listener) -> None:
    def decide(event: Any) -> None:
        nowhere("event", repr(event))
        if event.kind == "review":
            desk = ReviewDesk(guard.supervisor.store)  # type: ignore[attr-defined]
            nowhere("case", repr(desk.review(event.action_id)))
            desk.resolve(event.action_id, answers.pop(0), "seen and thought about", Principal("bob"))

    answers: list[Any] = ["rejected", "approved"]
    with default_guard(settings(tmp_path)) as guard, observing(**everything()):
        guard.add_hook(decide)
        with pytest.raises(ReviewRejected) as rejected:
            supervised("refund")(spend)(5_000, SECRET, everything())
        nowhere("exception", "\n".join(exceptions(rejected.value)))
        assert supervised("refund")(spend)(5_000, SECRET, everything()) == "done"
        with approved(str(rejected.value.action_id)), pytest.raises(SupervisorBlocked) as refused:
            supervised("refund")(spend)(5_000, SECRET, everything())
        nowhere("exception", "\n".join(exceptions(refused.value)))
        assert guard.stats().hook_errors == 0
        searched(guard, tmp_path, listener, 3)


def test_a_function_that_raises_what_it_was_given(tmp_path: Path, listener: Listener) -> None:
    """The caller gets the function's own error as it is; the record only says that there was one."""
    with default_guard(settings(tmp_path)) as guard:
        with pytest.raises(ValueError, match=SECRET):
            supervised("refund")(broken)(5, SECRET, everything())
        assert guard.flush()
        (row,) = guard.supervisor.store.decisions()  # type: ignore[attr-defined]
        assert row.result == "raised"
        searched(guard, tmp_path, listener, 1)
