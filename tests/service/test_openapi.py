"""The API's description says what the service has, and the service does what it says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from supervisor_guards.service.api import description
from supervisor_guards.service.api.contract import OPERATIONS
from supervisor_guards.service.app import create_app
from tests.service.serving import ADMIN, Running, body, serving

described = schemathesis.openapi.from_dict(description.described())
# That malformed input is refused, each kind with its own 4xx, test_bad_requests says.
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)


class Known:
    """A process for these tests alone, for they do whatever the API allows; and one thing of each kind in it."""

    def __init__(self, running: Running) -> None:
        self.base_url = running.base_url
        shop = running.integration()
        self.headers = {"integration": shop.headers}
        with shop.client(running.base_url) as http:
            action_id = http.post("/v1/actions/evaluate", json=body(60)).raise_for_status().json()["action_id"]
        with running.admin() as http:

            def made(path: str, **fields: Any) -> str:
                return str(http.post(path, json=fields).raise_for_status().json()["id"])

            webhook = made("/v1/webhooks", url="http://127.0.0.1:9/")
            self.ids = {
                "action_id": action_id,
                "case_id": action_id,
                "integration_id": made("/v1/integrations", name="victim"),
                "person_id": made("/v1/people", name="victim"),
                "policy_id": str(http.get("/v1/policies").json()[0]["id"]),
                "webhook_id": webhook,
                "delivery_id": str(http.post(f"/v1/webhooks/{webhook}/test").json()["id"]),
                "token_id": "none",
            }


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def known(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    folder = tmp_path_factory.mktemp("openapi")
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{folder}/service.db"
        if request.param == "postgresql":
            url = stack.enter_context(request.getfixturevalue("service_cluster").database("service"))
        running = stack.enter_context(serving(url, folder / "state", webhook_private=True, metrics="people"))
        yield Known(running)


@described.parametrize()
@EXAMPLES
def test_whatever_is_asked_the_answer_is_a_documented_one(case: schemathesis.Case, known: Known) -> None:
    asked = (case.operation.method.upper(), case.operation.path)
    who = next(one.who for one in OPERATIONS if (one.method, one.path) == asked)
    headers = known.headers.get(who, ADMIN)
    case.call_and_validate(base_url=known.base_url, headers=headers, checks=CHECKS)
    if case.path_parameters:
        case.path_parameters = {name: known.ids[name] for name in case.path_parameters}
        case.call_and_validate(base_url=known.base_url, headers=headers, checks=CHECKS)
    case.call_and_validate(base_url=known.base_url, checks=CHECKS)


def test_every_route_is_described_and_nothing_else_is() -> None:
    routes = {
        (method, route.path)
        for route in create_app().routes
        if isinstance(route, Route)
        for method in (route.methods or ()) - {"HEAD"}
    }
    assert {(one.method, one.path) for one in OPERATIONS} == routes
    assert len(OPERATIONS) == len(routes)


def test_the_description_is_the_one_that_is_served(running: Running) -> None:
    answer = httpx.get(f"{running.base_url}/openapi.json", trust_env=False)
    assert answer.json() == json.loads(json.dumps(description.described()))
    found = answer.json()
    assert found["openapi"] == "3.1.0"
    names = [one["operationId"] for path in found["paths"].values() for one in path.values()]
    assert len(set(names)) == len(names)


def test_what_needs_a_caller_says_whom(running: Running) -> None:
    for one in OPERATIONS:
        security = description.described()["paths"][one.path][one.method.lower()].get("security")
        assert (security is None) is (one.who == "nobody")
