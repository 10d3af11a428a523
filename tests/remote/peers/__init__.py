"""Supervisor services for the tests, written from the wire protocol alone: plain, ours, and all kinds of faulty."""

from tests.remote.peers.faults import ANSWERS, FAULTS, Faulty
from tests.remote.peers.ours import OurService
from tests.remote.peers.plain import PlainService
from tests.remote.peers.ruling import Asked, Case, Refused, Ruling
from tests.remote.peers.sockets import Reply, Request, Server
from tests.remote.peers.tokens import ADMIN_TOKEN, APP_ID, SECRET

__all__ = [
    "ADMIN_TOKEN",
    "ANSWERS",
    "APP_ID",
    "FAULTS",
    "SECRET",
    "Asked",
    "Case",
    "Faulty",
    "OurService",
    "PlainService",
    "Refused",
    "Reply",
    "Request",
    "Ruling",
    "Server",
]
