"""Secrets in texts: log lines, exceptions, addresses, JSON inside strings, however they are written."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor_guards._redaction import Redactor

NAMES = [
    "password",
    "user_password",
    "Password ",
    "apiKey",
    "X-Api-Key",
    "client secret",
    "card-number",
    "\uff30\uff29\uff2e",
]
secrets = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).map(
    lambda text: f"s3cr3t{text}x9"
)


def in_query(name: str, secret: str) -> Any:
    return "https://shop.example/pay?page=1&" + urlencode({name.strip(): secret, "next": 2})


def in_json(name: str, secret: str) -> Any:
    return json.dumps({"keep": 1, name: [secret]})


def in_json_twice(name: str, secret: str) -> Any:
    return json.dumps(json.dumps({name: secret}))


def in_duplicate(name: str, secret: str) -> Any:
    return f"{{{json.dumps(name)}: {json.dumps(secret)}, {json.dumps(name)}: null}}"


def in_pair(name: str, secret: str) -> Any:
    return [{"name": name, "value": secret}]


def in_list(name: str, secret: str) -> Any:
    return [[name, secret]]


def in_field(name: str, secret: str) -> Any:
    return [[{name: {"deep": secret}}]]


@given(
    st.sampled_from([in_query, in_json, in_json_twice, in_duplicate, in_pair, in_list, in_field]),
    st.sampled_from(NAMES),
    secrets,
)
def test_no_part_of_a_marked_secret_is_left(place: Any, name: str, secret: str) -> None:
    redacted = json.dumps(Redactor().redact({"field": place(name, secret), "n": 1}), ensure_ascii=False)
    assert "s3cr3t" not in redacted
    assert quote(secret) not in redacted
    assert '"n": 1' in redacted


@pytest.mark.parametrize(
    "text",
    [
        "url: https://x.example/y?token=s3cr3t",
        "a=1;token=s3cr3t",
        '{"password": "s3cr3t", ',
        'body={"password": "a \\" s3cr3t"} end',
        '"{\\"password\\": \\"s3cr3t\\"',
        "KeyError: {'password': 's3cr3t two words'}",
        "user[password]=s3cr3t",
        "pass%77ord=s3cr3t",
        "token=" + "a" * 10_000 + "s3cr3t",
        "token=" + 'a,b;c#d"e<f>' + "s3cr3t",
        "Authorization: ApiKey s3cr3t",
        "Authorization: Digest username=a, response=s3cr3t",
        "Cookie: sid=1; other=s3cr3t",
        "https://user:p@s3cr3t@db.example/x",
        "https://s3cr3t@git.example/x",
        'password="s3cr3t',
        "retry with api key: s3cr3t",
        "password => s3cr3t",
        "Basic czNjcjN0OnMzY3IzdA== s",
        "Bearer s3cr3t-s3cr3t",
        "postgresql://app:s3cr3t@localhost/db failed",
        "-----BEGIN RSA PRIVATE KEY-----\ns3cr3t",
        "mysql --password s3cr3t -h db",
        "mysql --password=s3cr3t -h db",
        "mysql --password 'two s3cr3t' -h db",
        "curl -u bob:s3cr3t https://x.example/",
        "postgresql://app:a#s3cr3t@localhost/db failed",
        "postgresql://app:a/s3cr3t@localhost/db failed",
        "https://hooks.slack.com/services/T000/B000/s3cr3t",
        "<password>s3cr3t</password>",
        '<wsse:Password Type="x">s3cr3t</wsse:Password>',
        "<password><part>s3cr3t",
        "password: |\n  one\n  s3cr3t\n",
        "password:          s3cr3t",
        "password          = s3cr3t",
        '{"password": ["one", "s3cr3t"]} and more',
        '{"password": {"a]}": [1, "}", "s3cr3t"]}} and more',
        "{'password': b'two s3cr3t'}",
        "('password', 's3cr3t')",
        "{'name': 'api_key', 'value': 's3cr3t'}",
        'body: {"p\\u0061ssword": "s3cr3t"}',
        'body: {"password": "s3cr3t", "note": "\\ud800"}',
        "headers=[(b'x-api-key', b's3cr3t')]",
        "x" * 200_000 + " password=s3cr3t",
    ],
    ids=lambda text: text[:24],
)
def test_texts_of_logs_and_exceptions(text: str) -> None:
    redactor = Redactor()
    for result in (redactor.redact_text(text), json.dumps(redactor.redact({"note": text}))):
        assert "s3cr3t" not in result
        assert "czNjcjN0OnMzY3IzdA" not in result
        assert "[redacted]" in result
    assert redactor.redact_text(redactor.redact_text(text)) == redactor.redact_text(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("2024 4111 1111 1111 1111 9", "2024 [redacted] 9"),
        ("4111-1111-1111-1111", "[redacted]"),
        ("4111 1111 1111 1111 4242 4242 4242 4242", "[redacted] [redacted]"),
        ("id 41111111111111110000", "id 41111111111111110000"),
        ("at 1700000000004 ms", "at 1700000000004 ms"),
    ],
)
def test_card_numbers_among_other_digits(text: str, left: str) -> None:
    assert Redactor().redact_text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "see basic information about tokens",
        "https://shop.example/orders?page=2&tokens_used=5",
        "ValueError: author: Ann, shipping=express, prompt_tokens=12",
        '{"amount": 1.50, "note": "a"}',
        "call me at 10:30, order pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "",
        "\ud800",
    ],
)
def test_texts_without_secrets_stay_as_they_are(text: str) -> None:
    assert Redactor().redact_text(text) == text
    assert Redactor().redact({"note": text}) == {"note": text}


@pytest.mark.parametrize(
    "name",
    [
        "total_tokens",
        "prompt_tokens",
        "secretary",
        "password_updated_at",
        "token_count",
        "cookie_consent",
        "created_at",
    ],
)
def test_names_that_speak_about_a_secret_are_none(name: str) -> None:
    assert not Redactor().redacts(name)


@pytest.mark.parametrize(
    "name", ["csrfmiddlewaretoken", "Set-Cookie", "signing_key", "CVC", "cardPIN", "x" * 600 + "Password"]
)
def test_names_that_are(name: str) -> None:
    assert Redactor().redacts(name)
    assert Redactor().redact({name: 1234}) == {name: {"__redacted__": True}}


def test_a_secret_that_is_a_key() -> None:
    assert "4111" not in json.dumps(Redactor().redact({"by_card": {"4111111111111111": 1}}))


@pytest.mark.parametrize(
    "value",
    [
        {"argv": ["mysql", "--password", "s3cr3t", "-h"]},
        {"argv": ["mysql", "--password=s3cr3t"]},
        {"env": [{"key": "DB_PASSWORD", "val": "s3cr3t"}]},
        {"headers": [{"Name": "X-Api-Key", "Value": "s3cr3t"}]},
        {"db_pass": "s3cr3t", "pw": "s3cr3t", "session_key": "s3cr3t"},
        {"url": "https://x.example/blob?sv=1&sig=s3cr3t"},
    ],
)
def test_values_beside_their_names(value: dict[str, Any]) -> None:
    assert "s3cr3t" not in json.dumps(Redactor().redact(value))


SEPARATORS = [" ", "-", ".", "/", "_", ",", "\t", "\n", "  ", " - ", "\u00a0", "\u2011", "\u2013"]


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("groups", ["4111 1111 1111 1111", "3782 822463 10005", "5555 5555 5555 4444"])
def test_card_numbers_however_they_are_grouped(groups: str, separator: str) -> None:
    written = groups.replace(" ", separator)
    assert Redactor().redact({"note": f"card {written} please"}) == {"note": "card [redacted] please"}


def test_card_numbers_in_other_digits_and_below_zero() -> None:
    full_width = "".join(chr(ord(digit) - ord("0") + 0xFF10) for digit in "4111111111111111")
    assert Redactor().redact({"note": full_width, "n": -4111111111111111}) == {
        "note": "[redacted]",
        "n": {"__redacted__": True},
    }


def test_absent_and_yes_or_no_stay_readable() -> None:
    assert Redactor().redact({"password": None, "otp": True}) == {"password": None, "otp": True}


def test_own_patterns() -> None:
    redactor = Redactor(extra_patterns=[r"EMP-\d+"])
    assert redactor.redact({"a": "EMP-1", "b": ["by EMP-22"]}) == {"a": "[redacted]", "b": ["by [redacted]"]}


def test_allowed_fields_inside_lists() -> None:
    kept = Redactor(allow=["items.sku", "items.token"]).redact({"items": [{"sku": 1, "token": "t", "x": 2}], "n": 3})
    hidden = {"__redacted__": True}
    assert kept == {"items": [{"sku": 1, "token": hidden, "x": hidden}], "n": hidden}


@given(st.text(max_size=60) | st.text("{}[]\"':=\\&%a", max_size=40))
def test_no_text_makes_it_fail(text: str) -> None:
    assert Redactor().redact({"note": text}) != {"__error__": "redaction-failed"}
    assert type(Redactor().redact_text(text)) is str


def test_many_attacker_chosen_names_do_not_pile_up() -> None:
    redactor = Redactor()
    redactor.redact({f"field{number}": 1 for number in range(20_000)})
    assert len(redactor._names) <= 4_096
