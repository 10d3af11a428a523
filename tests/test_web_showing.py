"""What people decide by can't hide anything from them."""

from __future__ import annotations

import json

import pytest

from supervisor_guards.web import laid_out, legible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("refund 900", "refund 900"),
        ("Zoë 李 \U0001f600", "Zoë 李 \U0001f600"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("pay \u202e009\u202c now", "pay \\u202e009\\u202c now"),
        ("a\u200bb\ufeff\x00\x1b[31m\x85", "a\\u200bb\\ufeff\\u0000\\u001b[31m\\u0085"),
        ("x\u2066y\u2069\u200f\u061c", "x\\u2066y\\u2069\\u200f\\u061c"),
        ("tag \U000e0041", "tag \\U000e0041"),
        ("half \ud800", "half \\ud800"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("y" * 1_500, "y" * 1_000 + "…"),
    ],
)
def test_hidden_characters_are_written_out(text: str, shown: str) -> None:
    assert legible(text) == shown


def test_a_payload_is_laid_out_and_keeps_its_numbers() -> None:
    assert laid_out('{"amount":1.50,"big":123456789012345678901}') == (
        '{\n  "amount": 1.50,\n  "big": 123456789012345678901\n}',
        0,
    )


def test_what_is_no_json_is_shown_as_it_is() -> None:
    assert laid_out('"half \ud800"') == ('"half \\ud800"', 0)
    assert laid_out("not json \u202e") == ("not json \\u202e", 0)


def test_a_long_text_hides_nothing_beside_it() -> None:
    text, missing = laid_out(json.dumps({"a": "x" * 1_000_000, "amount": 5, "\u202e": '\\"' * 3_000}))
    assert missing == 0
    assert f'"a": "{"x" * 2_000}…" (998,000 more characters),\n  "amount": 5' in text
    assert text.count('\\\\\\"') == 1_000
    assert text.endswith("(4,000 more characters)\n}"), "as people count them, not as JSON writes them"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("x" * 2_001, "1 more character"),
        ("x" * 2_000, ""),
        ("\0" * 3_000, "1,000 more characters"),
        ("\\" * 2_001 + '"', "2 more characters"),
        ("\u202e" * 2_500, "500 more characters"),
        ("\\u0041" * 500, "1,000 more characters"),
    ],
)
def test_a_cut_text_says_how_many_characters_are_missing(sent: str, said: str) -> None:
    for ascii_ in (True, False):
        text, missing = laid_out(json.dumps({"a": sent}, ensure_ascii=ascii_))
        assert missing == 0
        assert text.endswith(f" ({said})\n}}" if said else 'x"\n}')


def test_the_words_for_what_is_missing_are_the_readers() -> None:
    assert laid_out(json.dumps("x" * 2_005), more="noch {} Zeichen".format)[0].endswith("(noch 5 Zeichen)")


def test_what_stands_between_two_texts_is_no_text() -> None:
    numbers = json.dumps({"a": list(range(5_000)), "b": 1})
    assert "".join(laid_out(numbers)[0].split()) == "".join(numbers.split())


def test_a_long_payload_says_how_much_is_missing() -> None:
    text, missing = laid_out(json.dumps(list(range(100_000))))
    assert len(text) == 100_000
    assert missing > 500_000


def test_deep_nesting_is_shown() -> None:
    text, missing = laid_out("[" * 100 + "1" + "]" * 100)
    assert missing == 0
    assert "1" in text
