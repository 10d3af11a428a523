"""The Flask application of `test_preload`: its guard has asked the service before the workers are forked.

The variable `ALL_WORKERS` says how many of them wait for each other, so that all ask at the same moment.
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask, request

from supervisor_guards_flask import SupervisorGuards
from tests.remote.serving import PATIENT

MASTER = os.getpid()
_together = multiprocessing.Barrier(int(os.environ["ALL_WORKERS"]))
"""Shared, as it is made before the fork."""

app = Flask("preloaded")
app.config["SUPERVISOR_GUARDS"] = {"MODE": "enforce", "EVALUATE_TIMEOUT_SECONDS": PATIENT}
guard = SupervisorGuards(app).guard(app)
warmed = guard.check("refund", {"amount": 1, "odd": False})


@app.get("/ready")
def ready() -> dict[str, Any]:
    return {"master": MASTER, "warmed": warmed.action_id}


@app.post("/refunds")
def refunds() -> dict[str, Any]:
    """Asks about each of the amounts, from a thread of its own, when every other worker does so, too."""
    amounts = request.get_json()["amounts"]
    with ThreadPoolExecutor(len(amounts)) as threads:
        _together.wait(PATIENT)
        asked = [
            (amount, threads.submit(guard.check, "refund", {"amount": amount, "odd": False})) for amount in amounts
        ]
        answers = [(amount, answer.result()) for amount, answer in asked]
    return {
        "worker": os.getpid(),
        "told": [(amount, each.outcome.value, each.action_id) for amount, each in answers],
    }
