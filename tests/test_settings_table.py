"""The settings tables of the docs are the settings' own."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards import GuardConfig, configure
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.web import OWN_KEYS

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def generator() -> Any:
    spec = importlib.util.spec_from_file_location("settings_table", DOCS / "settings_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_is_current(generator: Any) -> None:
    text = generator.PAGE.read_text(encoding="utf-8")
    assert generator.page(text) == text, "the settings changed: run `python docs/settings_table.py`"


def test_the_django_page_is_current(generator: Any) -> None:
    text = generator.DJANGO_PAGE.read_text(encoding="utf-8")
    assert generator.page(text, generator.django_table()) == text, "run `python docs/settings_table.py`"


def test_the_service_s_page_is_current(generator: Any) -> None:
    text = generator.SERVICE_PAGE.read_text(encoding="utf-8")
    assert generator.page(text, generator.service_table()) == text, "run `python docs/settings_table.py`"


def test_every_setting_of_the_service_has_one_row_with_the_variable_that_it_reads(generator: Any) -> None:
    texts = {"integer": "7", "number": "7.5", "flag": "1", "list": "one,two", "text": "something"}
    rows = [line.strip("| ").split(" | ") for line in generator.service_table().splitlines()[2:]]
    fields = [field for field in dataclasses.fields(ServiceConfig) if field.name != "faults"]
    assert [row[1].strip("`") for row in rows] == [field.name for field in fields]
    for row, field in zip(rows, fields, strict=True):
        variable, default, doc = row[0].strip("`"), row[-2].strip("`"), row[-1]
        for text in (texts[field.metadata["kind"]], "0"):
            if getattr(ServiceConfig.load({variable: text}), field.name) != field.default:
                break
        else:
            raise AssertionError(f"{variable} sets nothing")
        assert default == repr(getattr(ServiceConfig.load({}), field.name))
        assert doc.endswith(".")


def test_the_keys_of_django_are_those_that_it_reads(generator: Any) -> None:
    assert tuple(generator.DJANGO_KEYS) == OWN_KEYS
    values: dict[str, Any] = {"sample_percent": 7, "redact": ["iban"], "actions": {}, "force_shadow": True}
    for field in dataclasses.fields(GuardConfig):
        if "doc" in field.metadata:
            key = generator.django_key(field)
            given = values.get(field.name, field.default)
            read = GuardConfig.from_mapping({key: given})
            assert not [fault for fault in read.problems() if fault.startswith("unknown")], key


def test_every_setting_has_one_row(generator: Any) -> None:
    rows = [line.split(" | ")[0].strip("|` ") for line in generator.table().splitlines()[2:]]
    assert rows == [field.name for field in dataclasses.fields(GuardConfig) if "doc" in field.metadata]


def test_every_keyword_of_configure_is_in_the_table(generator: Any) -> None:
    keywords = inspect.signature(configure).parameters.keys() - {"review_timeout_ms"}
    assert [name for name in keywords if f"| `{name}=` |" not in generator.table()] == []


def test_no_default_shows_a_secret_or_an_address(generator: Any) -> None:
    (row,) = [line for line in generator.table().splitlines() if line.startswith("| `shared_secret`")]
    assert "| `None` |" in row


def test_page_without_markers_is_an_error(generator: Any) -> None:
    with pytest.raises(ValueError, match="settings: begin"):
        generator.page("# Configuration\n")
