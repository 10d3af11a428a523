"""Where webhooks go: to public addresses only, the ones that were checked, whoever answers for their names."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence

import anyio
import pytest
import trustme

from supervisor_guards.service.webhooks.addresses import AddressRefused, is_public
from supervisor_guards.service.webhooks.sending import Answer, Sender
from tests.service.receivers import Receiver, status


def post(sender: Sender, url: str, body: bytes = b"{}") -> Answer:
    """What came of one request."""
    return anyio.run(sender.send, url, {"x-supervisor-event": "decision.made"}, body)


class Names:
    """A name server whose answer changes: the first one once, and so on; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who vouches for receivers in these tests."""
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> Callable[[], ssl.SSLContext]:
    """A client's context that believes it."""

    def make() -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    return make


def certified(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """A receiver's context, for the host `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254",
        "168.63.129.16", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1",
        "192.168.1.1", "198.18.0.1",
        "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::808:808", "100::1", "2001::1", "2001:0:808:808::1",
        "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::1", "fc00::1", "fd12:3456::1", "fe80::1",
        "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "3fff::1", "5f00::1", "4000::1", "localhost", "", "1",
    ],
)  # fmt: skip
def test_addresses_that_arent_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "223.255.255.254", "2606:4700:4700::1111",
        "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1",
    ],
)  # fmt: skip
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["::ffff:127.0.0.1"], ["::1"], ["93.184.216.34", "127.0.0.1"], ["0.0.0.0"]]
)
def test_a_name_that_leads_home_is_refused_and_nobody_is_connected_to(addresses: list[str]) -> None:
    with Receiver() as receiver:
        sender = Sender(False, 5.0, resolve=Names(addresses))
        # The port would be another one: it isn't reached, whatever listens there.
        answer = post(sender, "https://hooks.example/")
        assert receiver.connections == 0
    assert answer.status is None
    assert "isn't public: set webhook_private" in answer.text


def test_a_name_that_is_public_when_it_is_checked_and_not_when_it_is_sent_to() -> None:
    names = Names(["93.184.216.34"], ["127.0.0.1"])
    sender = Sender(False, 5.0, resolve=names)
    anyio.run(sender.check, "https://hooks.example/")
    answer = post(sender, "https://hooks.example/")
    assert answer.text.startswith("not sent: hooks.example has the address 127.0.0.1, which isn't public")
    assert names.asked == [("hooks.example", 443)] * 2
    with pytest.raises(AddressRefused, match="isn't public"):
        anyio.run(sender.check, "https://hooks.example/")


def test_the_address_that_was_checked_is_connected_to_and_the_name_is_looked_up_once(
    authority: trustme.CA, trusting: Callable[[], ssl.SSLContext]
) -> None:
    # Only this resolver knows the name; the second answer would be seen if anything asked again.
    names = Names(["127.0.0.1"], ["192.0.2.1"])
    with Receiver(tls=certified(authority, "hooks.example")) as receiver:
        answer = post(Sender(True, 30.0, resolve=names, tls=trusting), f"https://hooks.example:{receiver.port}/in?a=b")
        (sent,) = receiver.requests
    assert answer == Answer(204, "")
    assert (sent.path, sent.headers["host"]) == ("/in?a=b", f"hooks.example:{receiver.port}")
    assert names.asked == [("hooks.example", receiver.port)]


@pytest.mark.parametrize("trusted", [True, False])
def test_a_receiver_has_to_have_the_names_certificate(
    authority: trustme.CA, trusting: Callable[[], ssl.SSLContext], trusted: bool
) -> None:
    name = "another.example" if trusted else "hooks.example"
    sender = Sender(True, 30.0, resolve=Names(["127.0.0.1"]), **({"tls": trusting} if trusted else {}))
    with Receiver(tls=certified(authority, name)) as receiver:
        answer = post(sender, f"https://hooks.example:{receiver.port}/")
        assert receiver.requests == []
    assert answer.status is None
    assert "certificate verify failed" in answer.text


def test_the_next_address_is_tried_where_nobody_listens() -> None:
    with Receiver() as receiver:
        sender = Sender(True, 30.0, resolve=Names(["127.0.0.2", "::1", "127.0.0.1"]))
        assert post(sender, f"http://hooks.example:{receiver.port}/").accepted


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver, Receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert post(Sender(True, 30.0), receiver.url).accepted
        assert (receiver.connections, proxy.connections) == (1, 0)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(code: int) -> None:
    with Receiver() as elsewhere, Receiver(status(code, Location=elsewhere.url)) as receiver:
        answer = post(Sender(True, 30.0), receiver.url)
        assert elsewhere.connections == 0
    assert not answer.accepted
    assert str(answer) == f"{code}: redirects aren't followed"


def test_what_cant_be_found_or_reached_is_an_answer() -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for sender, url, text in (
        (Sender(True, 30.0, resolve=unknown), "https://hooks.example/", "can't find or reach the host: "),
        (Sender(True, 30.0, resolve=Names([])), "https://hooks.example/", "hooks.example has no address"),
        (Sender(True, 30.0), f"http://127.0.0.1:{port}/", "ConnectError: "),
        (Sender(True, 30.0), f"http://{'a' * 70}.example/", "can't find or reach the host: "),
    ):
        answer = post(sender, url)
        assert answer.status is None
        assert text in answer.text
