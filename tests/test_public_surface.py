"""The published interface: names, positions and defaults that code written for it relies on."""

from __future__ import annotations

import inspect
from inspect import Parameter
from typing import Any

import pytest

import supervisor_guards
from supervisor_guards import config, context, errors

PUBLISHED = [
    "SupervisorBlocked",
    "SupervisorReviewPending",
    "configure",
    "get_client",
    "guarded",
    "observe",
    "observing",
    "supervised",
    "supervised_async",
]
CONFIG = [
    "configure",
    "get_app_id",
    "get_client",
    "get_default_on_review",
    "get_enforcement_mode",
    "get_review_poll_interval",
    "get_review_timeout",
    "get_sample_percent",
    "inject_client_for_tests",
    "reset_for_tests",
]
ADDED = ["Guard", "GuardConfig", "approved", "guarded_async", *errors.__all__]

POSITIONAL = Parameter.POSITIONAL_OR_KEYWORD
KEYWORD = Parameter.KEYWORD_ONLY
REQUIRED = Parameter.empty
ANY = object()
"""A default that may be a sentinel for "not given"; what it means is tested by its effect."""

SIGNATURES: list[tuple[Any, list[tuple[str, Any, Any]]]] = [
    (
        supervisor_guards.configure,
        [
            ("base_url", POSITIONAL, None),
            ("app_id", POSITIONAL, None),
            ("shared_secret", POSITIONAL, None),
            ("scopes", POSITIONAL, None),
            ("default_on_review", KEYWORD, ANY),
            ("review_poll_interval_seconds", KEYWORD, 2.0),
            ("review_timeout_seconds", KEYWORD, ANY),
            ("enforcement_mode", KEYWORD, None),
            ("sample_percent", KEYWORD, None),
        ],
    ),
    *(
        (
            decorator,
            [
                ("action_type", POSITIONAL, REQUIRED),
                ("payload", KEYWORD, None),
                ("on_review", KEYWORD, None),
            ],
        )
        for decorator in (supervisor_guards.supervised, supervisor_guards.supervised_async)
    ),
    (
        supervisor_guards.guarded,
        [
            ("action_type", POSITIONAL, REQUIRED),
            ("payload", POSITIONAL, REQUIRED),
            ("fn", POSITIONAL, REQUIRED),
            ("args", Parameter.VAR_POSITIONAL, REQUIRED),
            ("on_review", KEYWORD, None),
            ("kwargs", Parameter.VAR_KEYWORD, REQUIRED),
        ],
    ),
    (
        errors.SupervisorBlocked,
        [
            ("decision", POSITIONAL, REQUIRED),
            ("reasons", POSITIONAL, REQUIRED),
            ("action_id", POSITIONAL, None),
            ("threats", POSITIONAL, None),
        ],
    ),
    (
        errors.SupervisorReviewPending,
        [("action_id", POSITIONAL, REQUIRED), ("reasons", POSITIONAL, REQUIRED)],
    ),
    (
        config.inject_client_for_tests,
        [
            ("client", POSITIONAL, REQUIRED),
            ("enforcement_mode", KEYWORD, "enforce"),
            ("sample_percent", KEYWORD, 10),
            ("default_on_review", KEYWORD, "block"),
            ("app_id", KEYWORD, "test-app"),
        ],
    ),
]


@pytest.mark.parametrize("name", PUBLISHED + ADDED)
def test_name_is_public(name: str) -> None:
    assert name in supervisor_guards.__all__


@pytest.mark.parametrize("name", supervisor_guards.__all__)
def test_public_name_resolves(name: str) -> None:
    assert getattr(supervisor_guards, name) is not None


def test_all_is_complete() -> None:
    """Nothing is exported by accident: `from supervisor_guards import *` gives exactly the list."""
    names: dict[str, Any] = {}
    exec("from supervisor_guards import *", names)
    names.pop("__builtins__")
    assert set(names) == set(supervisor_guards.__all__)
    assert len(supervisor_guards.__all__) == len(set(supervisor_guards.__all__))


@pytest.mark.parametrize(("function", "published"), SIGNATURES, ids=lambda value: getattr(value, "__name__", ""))
def test_signature_holds(function: Any, published: list[tuple[str, Any, Any]]) -> None:
    """Published parameters keep name, place and default; what came later is by keyword and optional."""
    parameters = inspect.signature(function).parameters
    for name, kind, default in published:
        assert name in parameters
        assert parameters[name].kind is kind, name
        if default is not ANY:
            assert parameters[name].default == default, name
    in_place = (POSITIONAL, Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL)
    assert [name for name, parameter in parameters.items() if parameter.kind in in_place] == [
        name for name, kind, _ in published if kind in in_place
    ]
    for name in parameters.keys() - {name for name, _, _ in published}:
        assert parameters[name].kind in (KEYWORD, Parameter.VAR_KEYWORD), name
        if parameters[name].kind is KEYWORD:
            assert parameters[name].default is not REQUIRED, name


@pytest.mark.parametrize("name", CONFIG)
def test_config_module_has(name: str) -> None:
    assert callable(getattr(config, name))


@pytest.mark.parametrize("name", ["current_context", "observe", "observing"])
def test_context_module_has(name: str) -> None:
    assert callable(getattr(context, name))


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting in the environment, none from an earlier `configure`."""
    import os

    for name in list(os.environ):
        if name.startswith("SUPERVISOR_"):
            monkeypatch.delenv(name)


def test_defaults_in_effect(unset: None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an empty `configure()` means, however the parameters spell "not given"."""
    monkeypatch.chdir(tmp_path)
    config.reset_for_tests()
    try:
        supervisor_guards.configure()
        assert config.get_enforcement_mode() == "shadow"
        assert config.get_default_on_review() == "block"
        assert config.get_review_poll_interval() == 2.0
        assert config.get_review_timeout() == 60.0
        assert config.get_sample_percent() == 10
    finally:
        config.reset_for_tests()


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_are_one_tree(name: str) -> None:
    """`except GuardError` catches whatever the package raises, and both import paths give one class."""
    error = getattr(errors, name)
    assert issubclass(error, errors.GuardError)
    assert getattr(supervisor_guards, name) is error
