"""What people see of the adapter is in the language of their request, from an ordinary catalogue of the project."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards._web import refusal
from tests.integrations.django_client import guarded, send

from django.apps import apps  # isort: skip
from django.test import override_settings
from django.utils import translation

from supervisor_guards_django.answers import TITLES

GERMAN = {
    "": "Content-Type: text/plain; charset=UTF-8\n",
    "This action is not allowed.": "Diese Aktion ist nicht <erlaubt>.",
    "Action:": "Aktion:",
    "There is no such review.": "Diese Prüfung gibt es nicht.",
    "Supervisor guards": "Aufsicht",
}
DENIED = b'{"amount": 50000}'
JSON = {"content-type": "application/json"}
LOCALE = "django.middleware.locale.LocaleMiddleware"


def compiled(messages: dict[str, str]) -> bytes:
    """A catalogue as gettext reads it: two tables of lengths and offsets, then the texts."""
    pairs = sorted((key.encode(), value.encode()) for key, value in messages.items())
    texts, tables = b"", ([], [])  # type: tuple[list[int], list[int]]
    start = 28 + 16 * len(pairs)
    for index in (0, 1):
        for pair in pairs:
            tables[index].extend((len(pair[index]), start + len(texts)))
            texts += pair[index] + b"\0"
    head = (0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return struct.pack(f"<{7 + 4 * len(pairs)}I", *head, *tables[0], *tables[1]) + texts


@pytest.fixture
def project(tmp_path: Path) -> Iterator[None]:
    """A project with a German catalogue of its own, and templates of apps."""
    from django.conf import settings

    folder = tmp_path / "locale" / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.mo").write_bytes(compiled(GERMAN))
    templates = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
    middleware = [settings.MIDDLEWARE[0], LOCALE, *settings.MIDDLEWARE[1:]]
    with (
        override_settings(LOCALE_PATHS=[str(folder.parents[1])], TEMPLATES=templates, USE_I18N=True),
        guarded(tmp_path, "enforce", middleware=middleware),
    ):
        yield


@pytest.mark.parametrize("handler", ["wsgi", "asgi"])
@pytest.mark.usefixtures("project")
def test_a_refusal_page_is_in_the_language_of_the_request(handler: str) -> None:
    headers = {**JSON, "accept": "text/html", "accept-language": "de"}
    answer = send(handler, "POST", "/refunds/o-1", DENIED, headers=headers)
    page = answer.content.decode()
    assert answer.status_code == 403
    assert int(answer["content-length"]) == len(answer.content)
    assert '<html lang="de" dir="ltr">' in page
    assert "<h1>Diese Aktion ist nicht &lt;erlaubt&gt;.</h1>" in page
    assert "<p>Aktion: refund</p>" in page
    english = send(handler, "POST", "/refunds/o-1", DENIED, headers={**headers, "accept-language": "en"})
    assert "<h1>This action is not allowed.</h1>" in english.content.decode()


@pytest.mark.usefixtures("project")
def test_a_problem_says_the_same_to_every_program() -> None:
    """What a program reads doesn't change with a language."""
    answer = send("wsgi", "POST", "/refunds/o-1", DENIED, headers={**JSON, "accept-language": "de"})
    assert answer.json()["title"] == "This action is not allowed."


@pytest.mark.usefixtures("project")
def test_names_and_answers_follow_the_active_language() -> None:
    from django.http import HttpRequest

    from supervisor_guards_django.status import review_status

    config = apps.get_app_config("supervisor_guards")
    request = HttpRequest()
    request.method = "GET"
    with translation.override("de"):
        assert str(config.verbose_name) == "Aufsicht"
        assert "Diese Pr\\u00fcfung gibt es nicht." in review_status(request, "nothing").content.decode()
    assert str(config.verbose_name) == "Supervisor guards"


def test_every_title_of_the_engine_can_be_translated() -> None:
    kinds = [one for one in vars(refusal).values() if isinstance(one, refusal.Kind)]
    with translation.override(None):
        assert {kind.name: kind.title for kind in kinds} == {name: str(title) for name, title in TITLES.items()}


@pytest.mark.parametrize(
    ("own", "shown"),
    [
        (
            "Please call us: {{ title }} ({{ kind }}, {{ status }})",
            "Please call us: This action is not allowed. (denied",
        ),
        ("{% nonsense %}", '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>This action is not'),
    ],
)
def test_a_project_s_own_template_stands_before_ours(own: str, shown: str, tmp_path: Path, caplog: Any) -> None:
    """One that fails makes no other answer of a refusal."""
    folder = tmp_path / "templates" / "supervisor_guards"
    folder.mkdir(parents=True)
    (folder / "refusal.html").write_text(own)
    templates = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [str(folder.parent)]}]
    with guarded(tmp_path, "enforce", templates=templates):
        answer = send("wsgi", "POST", "/refunds/o-1", DENIED, headers={**JSON, "accept": "text/html"})
    assert answer.status_code == 403
    assert answer.content.decode().startswith(shown)
    assert bool(re.search("refusal.html failed", caplog.text)) == ("nonsense" in own)
