"""Who may what in the service's console: every page and form against everybody who may ask, as data.

A new page gets its row in `ROWS`; `test_principals` fails until it has one. A row's cells are the statuses that each of
`CALLERS` gets: what stands in braces in the path is made anew for each cell.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from tests.service.serving import new_name

CALLERS = ("nobody", "viewer", "reviewer", "administrator")
Cells = tuple[int, int, int, int]
"""In the order of `CALLERS`."""

SEEN: Cells = (303, 200, 200, 200)
"""A page for everybody with an account; nobody is led to where one signs in."""
LED_ON: Cells = (303, 403, 403, 303)
TRIED: Cells = (401, 200, 200, 200)
DECIDED: Cells = (401, 403, 303, 303)
CHOSEN: Cells = (401, 403, 200, 200)
ADMINISTERED: Cells = (303, 403, 403, 200)
DONE: Cells = (401, 403, 403, 303)
TOLD: Cells = (401, 403, 403, 200)
"""What is done ends on a page of its own, which shows a secret."""
MISSED: Cells = (401, 403, 403, 422)
"""They may, and what they ask for can't be."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One page or form. Braces in the fields of the form are those of the path."""

    method: str
    path: str
    cells: Cells
    form: Callable[[], Mapping[str, str]] = dict


_INTEGRATIONS, _PEOPLE = "/administration/integrations", "/administration/people"
_WEBHOOKS = "/administration/webhooks"
_SURE = {"sure": "yes"}
_ROTATED = {**_SURE, "seen": "{edition}"}

ROWS = [
    Row("GET", "/", SEEN),
    Row("GET", "/decisions", SEEN),
    Row("GET", "/decisions/{action_id:path}", SEEN),
    Row("GET", "/stream", (401, 200, 200, 200)),
    Row("GET", "/reviews", SEEN),
    Row("GET", "/reviews/{action_id:path}", SEEN),
    Row("POST", "/reviews/{action_id:path}", DECIDED, lambda: {"decision": "rejected"}),
    Row("POST", "/reject", CHOSEN, lambda: {"case.{action_id}": "yes"}),
    Row("GET", "/policies", SEEN),
    Row("GET", "/policies/{policy_id}", SEEN),
    Row("GET", "/policies/{policy_id}/replay", SEEN),
    Row("POST", "/policies/{policy_id}/try", TRIED, lambda: {"payload": '{{"amount": 1, "odd": false}}'}),
    Row("POST", "/policies/{policy_id}/promote", DONE, lambda: _SURE),
    Row("GET", "/administration", LED_ON),
    Row("GET", _INTEGRATIONS, ADMINISTERED),
    Row("POST", _INTEGRATIONS, TOLD, lambda: {"name": new_name("made"), "scopes": "*"}),
    Row("GET", f"{_INTEGRATIONS}/{{integration_id}}", ADMINISTERED),
    Row("POST", f"{_INTEGRATIONS}/{{integration_id}}", DONE, lambda: {"scopes": "refund"}),
    Row("POST", f"{_INTEGRATIONS}/{{integration_id}}/rotate", TOLD, lambda: _ROTATED),
    Row("POST", f"{_INTEGRATIONS}/{{integration_id}}/revoke", DONE, lambda: _SURE),
    Row("GET", _PEOPLE, ADMINISTERED),
    Row("POST", _PEOPLE, DONE, lambda: {"name": new_name("made"), "role": "viewer"}),
    Row("GET", f"{_PEOPLE}/{{person_id}}", ADMINISTERED),
    Row("POST", f"{_PEOPLE}/{{person_id}}", DONE, lambda: {"role": "reviewer"}),
    Row("POST", f"{_PEOPLE}/{{person_id}}/password", DONE, lambda: {"password": new_name("a long password")}),
    Row("POST", f"{_PEOPLE}/{{person_id}}/remove-password", DONE, lambda: _SURE),
    Row("POST", f"{_PEOPLE}/{{person_id}}/disable", DONE, lambda: _SURE),
    Row("POST", f"{_PEOPLE}/{{person_id}}/enable", DONE),
    Row("GET", _WEBHOOKS, ADMINISTERED),
    Row("POST", _WEBHOOKS, MISSED, lambda: {"url": "https://127.0.0.1/"}),
    Row("GET", f"{_WEBHOOKS}/{{webhook_id}}", ADMINISTERED),
    Row("POST", f"{_WEBHOOKS}/{{webhook_id}}/rotate", TOLD, lambda: _ROTATED),
    Row("POST", f"{_WEBHOOKS}/{{webhook_id}}/disable", DONE, lambda: _SURE),
    Row("POST", f"{_WEBHOOKS}/{{webhook_id}}/test", DONE),
    Row("GET", f"{_WEBHOOKS}/{{webhook_id}}/deliveries/{{delivery_id}}", ADMINISTERED),
    Row("POST", f"{_WEBHOOKS}/{{webhook_id}}/deliveries/{{delivery_id}}/redeliver", DONE),
    Row("GET", "/administration/acts", ADMINISTERED),
]
