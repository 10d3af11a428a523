"""No secret leaves the process, wherever it stands in a payload."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor_guards._redaction import Redactor

SECRET = "hunter2-S3cr3t-value"
NAMES = ["password", "user_password", "Password ", "PASSWD", "apiKey", "api-key", "X-Api-Key", "accessToken",
         "authorization", "Cookie", "cardNumber", "card_number", "cvv", "clientSecret", "secret", "private_key",
         "refreshToken", "otp", "pin", "iban"]  # fmt: skip

secret_places = st.recursive(
    st.sampled_from(NAMES).map(lambda name: {name: SECRET}),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from(["a", "note", "items"]), inner, min_size=1, max_size=2),
        inner.map(json.dumps),
        st.sampled_from(NAMES).map(lambda name: f"https://shop.example/pay?{name.strip()}={SECRET}&page=2"),
    ),
    max_leaves=6,
)


@given(secret_places)
def test_no_marked_secret_is_left(place: object) -> None:
    assert SECRET not in json.dumps(Redactor().redact({"field": place}))


@pytest.mark.parametrize("name", NAMES)
def test_names_however_they_are_written(name: str) -> None:
    assert Redactor().redact({name: SECRET, "kept": 1}) == {name: {"__redacted__": True}, "kept": 1}


def test_a_name_that_is_made_to_take_long_is_known_at_once() -> None:
    accents = "\u0315" * 250_000 + "\u0300" * 250_000  # to be put in order, where all of them are normalised at once
    name = f"{accents} pass\uff37ord"
    assert Redactor().redact({name: SECRET, accents: "kept"}) == {name: {"__redacted__": True}, accents: "kept"}


@pytest.mark.parametrize(
    "name",
    ["author", "order_id", "max_tokens", "tokens_used", "session_id", "pinned", "amount", "shipping", "companion"],
)
def test_names_that_only_look_alike(name: str) -> None:
    assert Redactor().redact({name: "kept"}) == {name: "kept"}


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("card 4111 1111 1111 1111 please", "1111 1111"),
        ("4111-1111-1111-1111", "1111-1111"),
        ("Authorization: Bearer abcdef1234567890", "abcdef1234567890"),
        ("use eyJhbGciOi.eyJzdWIiOiIx.c2lnbmF0dXJl now", "eyJzdWIiOiIx"),
        ("key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("sk_live_abcdefghijklmnop1234", "abcdefghijklmnop1234"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz"),
        ("https://user:pass1234@db.example/x", "pass1234"),
        ("https://x.example/?token=tok123456&b=1", "tok123456"),
        ("password=opensesame", "opensesame"),
        ("-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----", "MIIabc"),
        ('{"password": "opensesame"}', "opensesame"),
    ],
)
def test_values_that_give_themselves_away(text: str, secret: str) -> None:
    redactor = Redactor()
    assert secret not in json.dumps(redactor.redact({"note": text}))
    assert secret not in redactor.redact_text(text)


@pytest.mark.parametrize(
    "text", ["order 1234 5678 9012 3456", "call me at 10:30", "https://shop.example/orders?page=2"]
)
def test_values_that_are_no_secrets(text: str) -> None:
    assert Redactor().redact({"note": text}) == {"note": text}


def test_card_numbers_that_are_numbers() -> None:
    assert Redactor().redact({"n": 4111111111111111, "m": 12345}) == {"n": {"__redacted__": True}, "m": 12345}


def test_own_names_and_allowed_fields() -> None:
    assert Redactor(extra_names=["Shoe Size"]).redact({"shoeSize": 44}) == {"shoeSize": {"__redacted__": True}}
    kept = Redactor(allow=["order.id"]).redact({"order": {"id": 1, "note": "x"}, "n": 2})
    assert kept == {"order": {"id": 1, "note": {"__redacted__": True}}, "n": {"__redacted__": True}}


def test_a_value_that_cannot_be_redacted_is_not_kept() -> None:
    deep: object = SECRET
    for _ in range(500):
        deep = [deep]
    assert Redactor().redact({"deep": deep}) == {"__error__": "redaction-failed"}


def test_the_payload_itself_is_untouched() -> None:
    payload = {"password": SECRET, "inner": {"token": SECRET}}
    Redactor().redact(payload)
    assert payload == {"password": SECRET, "inner": {"token": SECRET}}
