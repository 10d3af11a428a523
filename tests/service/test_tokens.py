"""Who is let in: every odd token is a 401 that says why, in the words of version 1 where it has some."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from supervisor_guards.service.tokens import first_admin_token
from tests.service.serving import ADMIN, ADMIN_TOKEN, Caller, Running, body, serving, two_processes, until

EVALUATE = "/v1/actions/evaluate"
NOT_FOUND = "integration not found or revoked"
BAD = "invalid token: bad signature"


def part(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def unsigned(header: Any, claims: Any, signature: str = "") -> str:
    return f"{part(header)}.{part(claims)}.{signature}"


def claims(caller: Caller, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    values = {"sub": caller.id, "scopes": ["*"], "iat": now, "exp": now + 300, **changes}
    return {name: value for name, value in values.items() if value is not None}


def signed_over(caller: Caller, text: str) -> str:
    """A token whose claims are `text`, whatever that is, rightly signed."""
    return jwt.api_jws.encode(text.encode(), caller.secret, "HS256", {"typ": "JWT"})


def rsa_signed(caller: Caller) -> str:
    return jwt.encode(claims(caller), rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256")


CASES: dict[str, tuple[Any, str]] = {
    "alg none": (lambda c: unsigned({"alg": "none", "typ": "JWT"}, claims(c)), "invalid token: "),
    "alg None in capitals": (lambda c: unsigned({"alg": "NONE"}, claims(c)), "invalid token: "),
    "no alg": (lambda c: unsigned({"typ": "JWT"}, claims(c), part("x")), "invalid token: "),
    "RS256 in the header": (lambda c: unsigned({"alg": "RS256"}, claims(c), part("x")), "invalid token: "),
    "signed by RS256": (rsa_signed, "invalid token: "),
    "HS512": (lambda c: unsigned({"alg": "HS512"}, claims(c), part("x")), "invalid token: "),
    "the wrong secret": (lambda c: jwt.encode(claims(c), "another secret, and also a long one", "HS256"), BAD),
    "an empty secret": (lambda c: unsigned({"alg": "HS256"}, claims(c), part("")), BAD),
    "claims changed": (lambda c: unsigned({"alg": "HS256"}, claims(c), c.token().split(".")[2]), BAD),
    "no exp": (lambda c: c.token(exp=None), "invalid token: no exp claim"),
    "exp a text": (lambda c: c.token(exp=str(int(time.time()) + 300)), "invalid token: exp"),
    "exp a list": (lambda c: c.token(exp=[1]), "invalid token: "),
    "exp an object": (lambda c: c.token(exp={"a": 1}), "invalid token: "),
    "exp true": (lambda c: c.token(exp=True), "invalid token: "),
    "exp huge": (lambda c: c.token(exp=10**400), "invalid token: exp"),
    "exp in milliseconds": (lambda c: c.token(exp=int(time.time() + 300) * 1000), "invalid token: exp"),
    "exp infinite": (lambda c: signed_over(c, f'{{"sub": "{c.id}", "exp": Infinity}}'), "invalid token: "),
    "exp no number": (lambda c: signed_over(c, f'{{"sub": "{c.id}", "exp": NaN}}'), "invalid token: "),
    "exp beyond floats": (lambda c: signed_over(c, f'{{"sub": "{c.id}", "exp": 1e999}}'), "invalid token: "),
    "exp of 5000 digits": (lambda c: signed_over(c, f'{{"sub": "{c.id}", "exp": {"9" * 3_000}}}'), "invalid token: "),
    "expired": (lambda c: c.token(exp=int(time.time()) - 60), "invalid token: token expired"),
    "expired long ago": (lambda c: c.token(exp=-(10**12)), "invalid token: token expired"),
    "not yet": (lambda c: c.token(nbf=int(time.time()) + 300), "invalid token: "),
    "iat to come": (lambda c: c.token(iat=int(time.time()) + 3_000), "invalid token: "),
    "iat a list": (lambda c: c.token(iat=[1]), "invalid token: "),
    "no sub": (lambda c: c.token(sub=None), "token missing sub claim"),
    "sub empty": (lambda c: c.token(sub=""), "token missing sub claim"),
    "sub a list": (lambda c: unsigned({"alg": "HS256"}, claims(c, sub=[c.id]), part("x")), "token missing sub claim"),
    "sub a number": (lambda c: signed_over(c, '{"sub": 7, "exp": 99999999999}'), "token missing sub claim"),
    "sub of nobody": (lambda c: c.token(sub="nobody"), NOT_FOUND),
    "sub with NUL": (lambda c: c.token(sub="a\0b"), NOT_FOUND),
    "sub half a character": (lambda c: signed_over(c, '{"sub": "\\ud800", "exp": 99999999999}'), NOT_FOUND),
    "claims a list": (lambda c: signed_over(c, "[1]"), "invalid token: not a JWT"),
    "claims no JSON": (lambda c: signed_over(c, "hello"), "invalid token: not a JWT"),
    "claims deep": (lambda c: signed_over(c, "[" * 1_000 + "]" * 1_000), "invalid token: not a JWT"),
    "header a list": (lambda c: unsigned([], claims(c), part("x")), "invalid token: "),
    "kid a list": (lambda c: jwt.encode(claims(c), "x" * 40, "HS256", {"kid": "../../dev/null"}), BAD),
    "crit": (lambda c: jwt.encode(claims(c), c.secret, "HS256", {"crit": ["b64"], "b64": False}), "invalid token: "),
    "10 kB": (lambda c: c.token(more="x" * 10_000), "invalid token: too long"),
    "two parts": (lambda c: "a.b", "invalid token: not a JWT"),
    "dots": (lambda c: "." * 50, "invalid token: not a JWT"),
    "no base64": (lambda c: "!!.??.!!", "invalid token: not a JWT"),
    "letters beyond ASCII": (lambda c: "\u00e9.\u00e9.\u00e9", "invalid token: not a JWT"),
}  # fmt: skip


@pytest.mark.parametrize(("made", "detail"), CASES.values(), ids=CASES)
def test_odd_tokens(running: Running, shop: Caller, made: Any, detail: str) -> None:
    header = f"Bearer {made(shop)}".encode("latin-1")
    with httpx.Client(base_url=running.base_url, trust_env=False, headers={"authorization": header}) as http:  # type: ignore[dict-item]
        for _ in range(2):  # what was refused once is refused again
            answer = http.post(EVALUATE, json=body(1))
            assert answer.status_code == 401, answer.text
            told = answer.json()["detail"]
            assert told.startswith(detail) if detail == "invalid token: " or detail.endswith("exp") else told == detail
            assert answer.headers["www-authenticate"] == "Bearer"
            assert shop.secret not in answer.text


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", "Token x", "bearer"])
def test_without_a_bearer_token(running: Running, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    with httpx.Client(base_url=running.base_url, trust_env=False, headers=headers) as http:
        answer = http.post(EVALUATE, json=body(1))
    assert (answer.status_code, answer.json()) == (401, {"detail": "missing bearer token"})


def test_what_is_within_the_leeway_of_clocks_is_let_in(running: Running, shop: Caller) -> None:
    for changes in ({"exp": int(time.time()) - 5}, {"iat": int(time.time()) + 5}, {"scopes": "all"}, {"aud": "x"}):
        headers = {"authorization": f"Bearer {shop.token(**changes)}"}
        answer = httpx.post(running.base_url + EVALUATE, json=body(1), headers=headers, trust_env=False)
        assert answer.status_code == 200, (changes, answer.text)


def test_a_secret_is_rotated_with_an_overlap(running: Running, admin: httpx.Client) -> None:
    caller = running.integration()
    former = caller.secret
    told = admin.post(f"/v1/integrations/{caller.id}/rotate-secret").raise_for_status().json()
    assert told["shared_secret"] != former
    for secret in (former, told["shared_secret"]):
        caller.secret = secret
        with caller.client(running.base_url) as http:
            assert http.post(EVALUATE, json=body(1)).status_code == 200
    admin.post(f"/v1/integrations/{caller.id}/rotate-secret").raise_for_status()
    caller.secret = former
    with caller.client(running.base_url) as http:
        answer = http.post(EVALUATE, json=body(1))
    assert (answer.status_code, answer.json()) == (401, {"detail": BAD})


def test_the_overlap_ends(service_url: str, tmp_path: Path) -> None:
    with serving(service_url, tmp_path / "state", secret_overlap_seconds=0.2) as running:
        caller = running.integration()
        with running.admin() as admin, caller.client(running.base_url) as http:
            assert http.post(EVALUATE, json=body(1)).status_code == 200
            admin.post(f"/v1/integrations/{caller.id}/rotate-secret").raise_for_status()
            until(lambda: http.post(EVALUATE, json=body(1)).status_code == 401)
            assert http.post(EVALUATE, json=body(1)).json() == {"detail": BAD}


def test_what_one_process_does_to_an_integration_holds_in_all(service_url: str, tmp_path: Path) -> None:
    with two_processes(service_url, tmp_path / "state") as (one, other):
        caller = one.integration()
        with caller.client(other.base_url) as http, one.admin() as admin:
            assert http.post(EVALUATE, json=body(1)).status_code == 200  # remembered there from now on
            caller.secret = admin.post(f"/v1/integrations/{caller.id}/rotate-secret").json()["shared_secret"]
            with caller.client(other.base_url) as renewed:
                until(lambda: renewed.post(EVALUATE, json=body(1)).status_code == 200)
            assert admin.post(f"/v1/integrations/{caller.id}/revoke").json()["active"] is False
            until(lambda: http.post(EVALUATE, json=body(1)).status_code == 401)
            assert http.post(EVALUATE, json=body(1)).json() == {"detail": NOT_FOUND}


def test_the_administrators_token_is_made_once_told_once_and_hashed(service_url: str, tmp_path: Path) -> None:
    settings = {"database_url": service_url, "state_dir": str(tmp_path / "state")}
    services = [Service(ServiceConfig.load({}, **settings)) for _ in range(2)]
    token = first_admin_token(services[0].store)
    assert token is not None
    assert token.startswith("sga_")
    assert first_admin_token(services[1].store) is None
    with services[0].store.reading() as held:
        stored = [str(value) for row in held.exec_driver_sql("SELECT * FROM sv_tokens") for value in row]
    assert not any(token in value for value in stored)
    for service in services:
        service.close()
    with serving(service_url, tmp_path / "state", admin_token=None) as running, running.admin() as http:
        assert http.get("/v1/integrations", headers={"x-admin-token": token}).status_code == 200
        wrong = http.get("/v1/integrations")
    assert (wrong.status_code, wrong.json()) == (401, {"detail": "invalid admin token"})
    with serving(service_url, tmp_path / "state") as running, running.admin() as http:
        assert http.get("/v1/integrations").status_code == 200
        assert http.get("/v1/integrations", headers={"x-admin-token": token}).status_code == 401


@pytest.mark.parametrize("token", ["", ADMIN_TOKEN[:-1], ADMIN_TOKEN + "x", "\u00e9" * 20, "x" * 10_000])
def test_other_administrators_tokens(running: Running, token: str) -> None:
    headers = {"x-admin-token": token.encode("latin-1")}
    answer = httpx.get(running.base_url + "/v1/integrations", headers=headers, trust_env=False)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()) == (401, {"detail": "invalid admin token"})


def test_an_administrators_token_is_none_of_an_integration(running: Running, shop: Caller) -> None:
    with shop.client(running.base_url) as http:
        assert http.get("/v1/integrations").status_code in (401, 403)
        http.headers["x-admin-token"] = "not it"
        assert http.get("/v1/review-cases").status_code == 400  # two callers in one request
    answer = httpx.post(running.base_url + EVALUATE, json=body(1), headers=ADMIN, trust_env=False)
    assert (answer.status_code, answer.json()) == (401, {"detail": "missing bearer token"})
