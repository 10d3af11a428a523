"""Every endpoint against everybody: `principals.ROWS`, each cell of it, and nothing left out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.routing import Mount, Route

from supervisor_guards.service.app import create_app
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.sessions import COOKIE
from tests.service.principals import CALLERS, PASSWORD, ROWS, Row, document, question
from tests.service.serving import ADMIN, PATIENCE, Running, body, new_name

_ROLES = ("viewer", "reviewer", "administrator")


class Cast:
    """Everybody, at one process of the service."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.own, self.other = running.integration(), running.integration()
        self.http = httpx.Client(base_url=running.base_url, trust_env=False, timeout=PATIENCE)
        self.people: dict[str, str] = {}
        self.webhook = ""
        for role in _ROLES:
            # A name of its own that the table knows, in a database that all tests share.
            self.people[role] = self.admin("/v1/people", name=f"principals-{role}", role=role, password=PASSWORD)["id"]
        _, self.token = running.service.tokens.create(self.people["reviewer"], "desk", "tests")

    def admin(self, path: str, **fields: Any) -> dict[str, Any]:
        """What the administrator's token makes."""
        return self.http.post(path, json=fields, headers=ADMIN).raise_for_status().json()  # type: ignore[no-any-return]

    def session(self, role: str) -> dict[str, str]:
        """A browser of its own in which somebody of this role is signed in."""
        service = self.running.service
        token = service.store.transact(lambda held, _note: service.sessions.open(held, self.people[role]))
        return {"cookie": f"{COOKIE}={token}", "x-csrf-token": service.sessions.csrf_token(token)}

    def headers(self, caller: str) -> dict[str, str]:
        """What `caller` sends."""
        if caller in _ROLES:
            return self.session(caller)
        return {
            "nobody": {},
            "own": self.own.headers,
            "other": self.other.headers,
            "token": {"authorization": f"Bearer {self.token}"},
            "admin": ADMIN,
        }[caller]

    def send(self, row: Row, headers: dict[str, str]) -> httpx.Response:
        """One request to the endpoint of a row, for things that were made for it."""
        made = self._made(row.needs) if row.needs else {}
        json = None
        if row.json is not None:
            json = {
                name: value.format(**made) if isinstance(value, str) else value for name, value in row.json().items()
            }
        path = row.path.format(**made)
        answer = self.http.request(row.method, path, json=json, headers=headers)
        self.http.cookies.clear()  # what is sent next is what `headers` say, and nothing that an answer left behind
        return answer

    def _made(self, needs: str) -> dict[str, str]:
        if needs == "integration":
            return {"integration_id": self.running.integration().id}
        if needs in ("person", "token"):
            person = self.admin("/v1/people", name=new_name("somebody"), role="viewer")["id"]
            return {"person_id": person, "token_id": self.running.service.tokens.create(person, "t", "tests")[0].id}
        if needs in ("policy", "promoted"):
            made = self.admin("/v1/policies", yaml_source=document(), promote=needs == "promoted")
            return {"policy_id": made["id"]}
        if needs in ("webhook", "delivery"):
            # An address for documentation (RFC 5737): nothing is ever sent there.
            subscriptions = self.running.service.subscriptions
            if self.webhook:  # only so many may be active
                with contextlib.suppress(LookupError):
                    subscriptions.disable(self.webhook, "tests")
            webhook, _ = subscriptions.create("https://203.0.113.7/", ["threat.detected"], "tests", None)
            self.webhook = webhook.id
            found = {"webhook_id": webhook.id}
            if needs == "delivery":
                found["delivery_id"] = self.admin(f"/v1/webhooks/{webhook.id}/test")["id"]
            return found
        asked = question(needs)
        self.http.post("/v1/actions/evaluate", json=asked, headers=self.own.headers).raise_for_status()
        if needs == "approved":
            self.running.resolve(asked["id"])
        return {"action_id": asked["id"], "case_id": asked["id"]}


@pytest.fixture(scope="module")
def cast(running: Running) -> Iterator[Cast]:
    made = Cast(running)
    yield made
    made.http.close()


def _named(row: Row) -> str:
    return f"{row.method} {row.path.partition('?')[0]}"


def test_every_endpoint_is_in_the_table() -> None:
    def endpoints(routes: Any, before: str = "") -> set[str]:
        found: set[str] = set()
        for route in routes:
            if isinstance(route, Mount):
                found |= endpoints(route.routes, before + route.path)
            else:
                assert isinstance(route, Route)
                found |= {f"{method} {before}{route.path}" for method in (route.methods or ()) if method != "HEAD"}
        return found

    assert {_named(row) for row in ROWS} == endpoints(create_app(ServiceConfig()).routes)
    assert len(ROWS) == len({_named(row) for row in ROWS})


@pytest.mark.parametrize("row", ROWS, ids=_named)
def test_each_cell(cast: Cast, row: Row) -> None:
    answers = {caller: cast.send(row, cast.headers(caller)) for caller in CALLERS}
    assert {caller: answer.status_code for caller, answer in answers.items()} == row.cells
    for answer in answers.values():
        assert answer.is_success or answer.json()["detail"]


@pytest.mark.parametrize("row", [row for row in ROWS if not row.public], ids=_named)
def test_what_nobody_has_lets_nobody_in(cast: Cast, row: Row) -> None:
    refused = [
        {"authorization": "Bearer sgr_nobodys"},
        {"authorization": f"Bearer {cast.own.token(exp=1)}"},
        {"x-admin-token": "nobodys"},
        {"cookie": f"{COOKIE}=sgc_nobodys"},
        {"x-forwarded-user": "principals-administrator"},
    ]
    assert [cast.send(row, headers).status_code for headers in refused] == [401] * len(refused)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.method != "GET" and row.cells["administrator"] != 401], ids=_named
)
def test_no_other_site_can_use_a_browsers_session(cast: Cast, row: Row) -> None:
    session, stranger = cast.session("administrator"), cast.session("administrator")
    attempts = [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ]
    if row.path != "/v1/session":  # signing in takes no session, so there is no token of one to take
        attempts += [{"x-csrf-token": ""}, {"x-csrf-token": "0" * 64}, {"x-csrf-token": stranger["x-csrf-token"]}]
    assert [cast.send(row, {**session, **one}).status_code for one in attempts] == [403] * len(attempts)


@pytest.mark.parametrize("row", [row for row in ROWS if row.cells["administrator"] < 300], ids=_named)
def test_two_callers_in_one_request_are_refused(cast: Cast, row: Row) -> None:
    if row.public:
        return
    session = cast.session("administrator")
    pairs = [
        {**ADMIN, **cast.own.headers},
        {**ADMIN, **session},
        {**cast.own.headers, **session},
        {**session, "authorization": f"Bearer {cast.token}"},
    ]
    assert [cast.send(row, headers).status_code for headers in pairs] == [400] * len(pairs)


def test_lists_have_what_the_caller_may_see(cast: Cast) -> None:
    asked = question("review")
    cast.http.post("/v1/actions/evaluate", json=asked, headers=cast.own.headers).raise_for_status()
    for path in ("/v1/actions/recent", "/v1/review-cases"):
        seen = {}
        for caller in CALLERS[1:]:
            found = cast.http.get(path, headers=cast.headers(caller)).json()
            seen[caller] = asked["id"] in [item["action_id"] for item in found]
        assert seen == {caller: caller != "other" for caller in CALLERS[1:]}


def test_an_integration_sees_no_more_than_its_scopes_cover_once_they_are_narrowed(cast: Cast, running: Running) -> None:
    caller = running.integration()
    refund, payment = question("review"), question("review") | {"action_type": "payment"}
    with caller.client(running.base_url) as http, running.admin() as admin:
        for asked in (refund, payment):
            http.post("/v1/actions/evaluate", json=asked).raise_for_status()
        running.resolve(refund["id"])
        narrowed = admin.patch(f"/v1/integrations/{caller.id}", json={"scopes": ["payment"]}).json()
        assert narrowed["scopes"] == ["payment"]
        assert http.post("/v1/actions/evaluate", json=body(1)).status_code == 403
        for path in ("/v1/actions/recent", "/v1/review-cases"):
            assert [item["action_id"] for item in http.get(path).json()] == [payment["id"]]
        gone = {
            "decision": http.get(f"/v1/decisions/{refund['id']}"),
            "evidence": http.get(f"/v1/decisions/{refund['id']}/evidence"),
            "review": http.get(f"/v1/review-cases/{refund['id']}"),
            "result": http.post(f"/v1/actions/{refund['id']}/result", json={"result": "returned"}),
            "redeem": http.post(f"/v1/approvals/{refund['id']}/redeem", json={"digest": refund["id"]}),
        }
        assert {name: answer.status_code for name, answer in gone.items()} == dict.fromkeys(gone, 404)
        results = [{"id": asked["id"], "result": "returned"} for asked in (refund, payment)]
        assert http.post("/v1/actions/results", json={"items": results}).json() == {"noted": 1}
        assert http.get(f"/v1/review-cases?action_id={refund['id']}").json() == []
        assert http.get(f"/v1/decisions/{payment['id']}").status_code == 200
        admin.patch(f"/v1/integrations/{caller.id}", json={"scopes": ["*"]}).raise_for_status()
        assert http.get(f"/v1/decisions/{refund['id']}").status_code == 200


def test_changes_of_an_integration_that_can_not_be_are_refused(running: Running) -> None:
    path = f"/v1/integrations/{running.integration().id}"
    with running.admin() as admin:
        refused = [admin.patch(path, json=one) for one in ({"scopes": []}, {"per_minute": -1}, {"resolves_own": "no"})]
        assert [answer.status_code for answer in refused] == [422] * 3
        assert admin.patch("/v1/integrations/none", json={"scopes": ["a"]}).status_code == 404
        changed = admin.patch(path, json={"per_minute": 5, "resolves_own": True}).json()
        assert (changed["per_minute"], changed["resolves_own"]) == (5, True)
        assert admin.patch(path, json={"per_minute": None}).json()["per_minute"] is None
        assert admin.patch(path, json={}).json()["resolves_own"] is True


def test_nobody_approves_what_they_asked_for(cast: Cast, running: Running) -> None:
    person = cast.admin("/v1/people", name=new_name("asker"), role="reviewer", known_as=["user:17"])
    _, token = running.service.tokens.create(person["id"], "desk", "tests")
    desk = {"authorization": f"Bearer {token}"}
    for asked_by in ("USER:17", person["name"].upper()):
        for place in ({"subject": asked_by}, {"agent_context": {"user_id": asked_by}}):
            asked = {**question("review"), **place}
            cast.http.post("/v1/actions/evaluate", json=asked, headers=cast.own.headers).raise_for_status()
            path = f"/v1/review-cases/{asked['id']}/resolve"
            approval = {"decision": "approved"}
            assert cast.http.post(path, json=approval, headers=desk).status_code == 403
            claiming = {**ADMIN, "x-approver": asked_by}
            assert cast.http.post(path, json=approval, headers=claiming).status_code == 403
            assert cast.http.post(path, json={"decision": "rejected"}, headers=desk).status_code == 200


def test_the_record_says_who_decided(cast: Cast) -> None:
    asked = question("review")
    cast.http.post("/v1/actions/evaluate", json=asked, headers=cast.own.headers).raise_for_status()
    path = f"/v1/review-cases/{asked['id']}"
    headers = {**cast.session("reviewer"), "x-approver": "somebody else"}
    cast.http.post(f"{path}/resolve", json={"decision": "approved", "notes": "fine"}, headers=headers)
    found = cast.http.get(path, headers=cast.own.headers).json()
    assert (found["approver"], found["approver_notes"]) == ("principals-reviewer", "fine")
