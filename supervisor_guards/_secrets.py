"""What a secret looks like: by the name of its field, or by its own shape.

Every expression is linear: a run of characters is tried from its start alone, and nothing repeats a repetition.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
import unicodedata

REDACTED = "[redacted]"

SECRET_WORDS = frozenset((
    "password", "passwd", "pwd", "passphrase", "passcode", "secret", "token", "apikey", "authorization",
    "auth", "credential", "credentials", "cookie", "jwt", "bearer", "otp", "totp", "cvv", "cvc", "cvv2",
    "csc", "pin", "pincode", "cardpin", "ssn", "iban", "privatekey", "signature", "setcookie", "accesskey",
    "secretkey", "cardnumber", "cardno", "ccnumber", "creditcard", "pan", "mfa", "csrftoken", "xsrf",
    "sessionkey", "sig",
))  # fmt: skip
"""A field is secret when a word of its name, or two neighbouring words put together, is one of these."""

SECRET_PARTS = (
    "password", "passwd", "passphrase", "secret", "apikey", "privatekey", "accesstoken", "authtoken",
    "refreshtoken", "sessiontoken", "apitoken", "cardnumber", "creditcard", "securitycode", "socialsecurity",
    "credential", "secretkey", "signingkey", "encryptionkey", "masterkey", "sshkey", "onetimecode",
    "recoverycode", "backupcode", "seedphrase", "mnemonic",
)  # fmt: skip
"""... or when its name, without separators, contains one of these."""

LAST_WORDS = frozenset({"pass", "pw"})
"""... or when its last word is one of these: `db_pass`, not `pass_rate`."""

NOT_SECRET = frozenset({"authmethod", "authtype", "pintopic"})
QUALIFIERS = frozenset((
    "count", "type", "limit", "length", "used", "usage", "at", "ttl", "status", "enabled", "required", "expiry",
    "expires", "expiration", "policy", "strength", "scheme", "algorithm", "brand", "budget", "consent",
))  # fmt: skip
"""The last word of a name that speaks about a secret: `token_count`, `password_updated_at`."""

_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")


_PIECE = 1_000
"""Characters of a name that are normalised at a time: accents in a row are put in order in time that grows as the
square of their number, and the longest name is as long as a payload."""


def is_secret_name(name: str, extra: frozenset[str]) -> bool:
    """Whether values under `name` are secret; case, `-`, `_`, spaces and camelCase don't matter."""
    words = _words(name)
    joined = "".join(words)
    if any(own in joined for own in extra if own):
        return True
    if joined in NOT_SECRET or not words or (len(words) > 1 and words[-1] in QUALIFIERS):
        return False
    pairs = ["".join(pair) for pair in itertools.pairwise(words)]
    singular = [word.removesuffix("s") for word in words if word != "tokens"]  # those are counted, not kept secret
    if words[-1] in LAST_WORDS or joined.endswith("token"):
        return True
    if not SECRET_WORDS.isdisjoint([*words, *pairs, joined, *singular]):
        return True
    compound = joined.replace("secretar", "")
    return any(part in compound for part in SECRET_PARTS)


def normalised(name: str) -> str:
    """`name` as it is compared: lower case, letters and digits only."""
    return "".join(_words(name))


def _words(name: str) -> list[str]:
    """The words of a name; letters that only look different (full width, ligatures) count as the same."""
    if not name.isascii():
        pieces = (name[start : start + _PIECE] for start in range(0, len(name), _PIECE))
        name = "".join(unicodedata.normalize("NFKC", piece) for piece in pieces)
    return [word.lower() for word in _BOUNDARY.split(name) if word]


CARD_HINT = re.compile(r"\d(?:[ -]?\d){12}|\d{4}[\W_]{1,3}\d{4,6}[\W_]{1,3}\d{4}")
SHAPE_HINT = re.compile(
    r"eyJ|sk-|sk_|rk_|pk_|whsec|ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox|AKIA|ASIA|AIza|npm_|SG\.|://|-----BEGIN"
    r"|earer|EARER|asic|ASIC|-u |--user "
)
"""A text without any of this holds nothing that `SHAPES` finds. Literals only: they are searched for at once."""

SHAPES = re.compile(
    "|".join(
        (
            r"(?P<scheme>\b[Bb](?i:earer|asic)\s{1,5})(?P<credentials>[A-Za-z0-9._~+/=-]{6,})",
            r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)*",
            r"-----BEGIN [A-Z0-9 ]{0,40}-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z)",
            r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16,}",
            r"(?<![\w-])(?:sk|rk|pk|whsec)[-_][\w-]{16,}",
            r"(?<![\w-])(?:gh[pousr]|github_pat|glpat)[-_][\w-]{16,}",
            r"(?<![\w-])xox[a-z]-[\w-]{8,}",
            r"(?<![\w-])AIza[\w-]{30,}",
            r"(?<![\w-])npm_\w{30,}",
            r"(?<![\w-])SG\.[\w-]{16,}\.[\w-]{16,}",
            r"(?<=hooks\.slack\.com/services/)[\w/-]+",
            r"(?<=-u )[^\s:]{1,256}:\S+",
            r"(?<=--user )[^\s:]{1,256}:\S+",
            # A password that should have been escaped may hold what ends the host; a port is none.
            r"(?<=://)[^\s/?#@:]{0,256}:(?!\d{1,5}[/?#])\S{1,256}(?=@)",
            r"(?<=://)[^\s/?#]{1,2048}(?=@)",
        )
    )
)

ASSIGNED = re.compile(
    r"(?<![\w.%+-])-{0,2}([\w%][\w.%+-]*)\]?\s{0,40}(?:\\*[\"']\s{0,3}(?:(=>|=|:)"
    r"|,\s{0,3}(?=[bBuU]?\\*[\"'])(?!\w?\\*[\"'][\w .-]{0,64}\\*[\"']\s{0,3}[=:]))|(=>|=|:(?!//)))"
)
"""A name and what follows it before its value, as in URL queries, headers, log lines, printed mappings and pairs."""
TITLE = re.compile(r"\s{0,3}[bBuU]?\\*[\"']?([\w.%+ -]{1,64})")
"""The name in `name: password, value: ...`."""
OPTION = re.compile(r"(?<!\S)(--?[A-Za-z][\w-]*)([ \t]{1,3})(?:\"[^\"]*\"?|'[^']*'?|[^\s-]\S*)")
"""An option of a command line whose value is the next word."""
ELEMENT = re.compile(r"<((?:[\w.-]{1,40}:)?[\w.-]{1,64})(?:\s[^<>]{0,512})?(?<!/)>")
"""The start of an XML element; its value goes to the end tag."""
SPACE = re.compile(r"\s*")
QUOTE = re.compile(r"[bBrRuU]{0,2}(\\*[\"'])")
BLOCK = re.compile(r"[|>][-+\d]{0,2}[ \t]*(?:\r?\n[ \t]+[^\r\n]*)+")
"""A YAML text that goes on in the indented lines below."""
_QUOTED = r"(?s)\"(?:[^\"\\]|\\.?)*(?:\"|\Z)|'(?:[^'\\]|\\.?)*(?:'|\Z)"
BRACKETS = {
    "[": re.compile(_QUOTED + r"|(?P<open>\[)|(?P<close>\])"),
    "{": re.compile(_QUOTED + r"|(?P<open>\{)|(?P<close>\})"),
    "(": re.compile(_QUOTED + r"|(?P<open>\()|(?P<close>\))"),
}
"""What to look at to find the end of what a bracket opens; quoted texts are passed over."""
BARE = re.compile(r"[^\s&]+")
REST_OF_LINE = re.compile(r"[^\r\n]+")
WORD_BEFORE = re.compile(r"[A-Za-z]{1,24} \Z")


def without_shapes(text: str) -> str:
    """`text` without card numbers, tokens, keys and the passwords in addresses."""
    if CARD_HINT.search(text):
        text = _CARD_GROUPS.sub(_card, _CARD_RUN.sub(_cards, text))
    if SHAPE_HINT.search(text):
        text = SHAPES.sub(_shape, text)
    return text


def _shape(found: re.Match[str]) -> str:
    scheme, credentials = found["scheme"], found["credentials"]
    if scheme is None:
        return REDACTED
    if scheme[:2].lower() == "ba" and not _is_basic(credentials):
        return found.group()
    return f"{scheme}{REDACTED}"


def _is_basic(credentials: str) -> bool:
    """Whether this is a name and a password (RFC 7617), not the word that follows "basic" in a sentence."""
    try:
        return b":" in base64.b64decode(credentials + "=" * (-len(credentials) % 4))
    except (binascii.Error, ValueError):
        return False


_CARD_RUN = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,}")


def _cards(found: re.Match[str]) -> str:
    """A run of digit groups without those that are a card number; other groups may stand before and after."""
    pieces = re.split(r"([ -])", found.group())
    start, kept = 0, []
    while start < len(pieces):
        digits, end = "", start
        last = 0
        while end < len(pieces) and len(digits) + len(pieces[end]) <= 19:
            digits += pieces[end]
            end += 2
            if is_card_number(digits):
                last = end
        if last:
            kept.append(REDACTED)
            start = last
            kept.extend(pieces[last - 1 : last])
        else:
            kept.extend(pieces[start : start + 2])
            start += 2
    return "".join(kept)


_CARD_GROUPS = re.compile(
    r"(?<!\d)(?:\d{4}(?:[\W_]{1,3}\d{4}){3}(?:[\W_]{1,3}\d{1,3})?|\d{4}[\W_]{1,3}\d{6}[\W_]{1,3}\d{4,5})(?!\d)"
)
"""Digits in the groups that are printed on cards, whatever stands between them."""


def _card(found: re.Match[str]) -> str:
    digits = "".join(c for c in found.group() if c.isdecimal())
    return REDACTED if is_card_number(digits) or is_card_number(digits[:16]) else found.group()


def is_card_number(digits: str) -> bool:
    """Whether `digits` is a payment card's number: its length, first digit and check digit (ISO/IEC 7812-1)."""
    if not 13 <= len(digits) <= 19 or int(digits[0]) not in range(2, 7):
        return False
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit)
        if index % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0
