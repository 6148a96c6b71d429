"""Mail servers as they are met: on which port what is spoken, and how a refusal is told."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from adventureworks.errors import PlatformError
from adventureworks.messaging.rendered import RenderedMessage
from adventureworks.messaging.sending import NotTaken
from adventureworks.messaging.store import Message
from adventureworks.orchestration import channels
from tests.integration.tls import self_signed

HOST = "localhost"
PLAIN, STARTTLS, TLS = "plain", "starttls", "tls"


class Server:
    """Keeps the recipients of each mail that it took, and whether STARTTLS came before it."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], bool]] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address.endswith("@elsewhere.test"):
            return "554 5.7.1 <x@elsewhere.test>: Relay access denied"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.taken.append((envelope.rcpt_tos, session.ssl is not None))
        return "250 OK"


class AnyCertificate(Controller):
    """A controller that does not mind the certificate when it looks whether its server has started."""

    def _trigger_server(self) -> None:
        with socket.create_connection((self.hostname, self.port), 5) as plain:
            if not self.ssl_context:
                plain.recv(1024)
                return
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain) as safe:
                safe.recv(1024)


Start = Callable[..., tuple[Server, int]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a mail server of a kind, whose certificate this process trusts unless told otherwise."""
    started: list[Controller] = []

    def begin(
        kind: str, name: str = HOST, trusted: bool = True, valid_for: timedelta = timedelta(days=1)
    ) -> tuple[Server, int]:
        certificate = self_signed(tmp_path, name, valid_for)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        server = Server()
        controller = AnyCertificate(
            server,
            hostname="127.0.0.1",
            port=free_port(),
            ssl_context=context if kind == TLS else None,
            tls_context=context if kind == STARTTLS else None,
            require_starttls=kind == STARTTLS,
            authenticator=lambda *_: AuthResult(success=False, handled=False),
        )
        controller.start()
        started.append(controller)
        return server, controller.port

    yield begin
    for controller in started:
        controller.stop()


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def send(
    monkeypatch: pytest.MonkeyPatch, port: int, to: str = "ann@example.com", host: str = HOST, **given: object
) -> None:
    login = {name: given.pop(name) for name in ("login", "password") if name in given}
    extra = {"from_email": "platform@example.com", **given}
    monkeypatch.setenv(
        "AIRFLOW_CONN_SMTP_DEFAULT",
        json.dumps({"conn_type": "smtp", "host": host, "port": port, "extra": extra, **login}),
    )
    rendered = RenderedMessage(subject="s\r\nBcc: eve@example.com", html="<p>h</p>", text="t")
    channels.Email("smtp_default").send(Message("id-1", "email", to, "", 0, rendered))


@pytest.mark.parametrize(
    ("kind", "port_of", "extra", "upgraded"),
    [
        (STARTTLS, None, {}, True),
        (STARTTLS, None, {"disable_ssl": True}, True),
        (STARTTLS, None, {"disable_ssl": "true", "disable_tls": "false"}, True),
        (TLS, "SMTPS_PORT", {}, False),
        (TLS, None, {"disable_ssl": False}, False),
        (TLS, None, {"disable_tls": True}, False),
        (PLAIN, "SMTP_PORT", {}, False),
        (STARTTLS, "SMTP_PORT", {}, True),
        (PLAIN, "SUBMISSION_PORT", {"disable_tls": True}, False),
        (PLAIN, None, {"disable_ssl": True, "disable_tls": True}, False),
    ],
)
def test_the_port_says_what_is_spoken_unless_the_extra_does(
    kind: str,
    port_of: str | None,
    extra: dict[str, Any],
    upgraded: bool,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, port = start(kind)
    if port_of:
        monkeypatch.setattr(channels, port_of, port)
    send(monkeypatch, port, **extra)
    assert server.taken == [(["ann@example.com"], upgraded)], "and no header has made a recipient of its own"


@pytest.mark.parametrize(
    ("kind", "certificate", "given", "said"),
    [
        (PLAIN, {}, {}, "does not offer STARTTLS; to send in plain text set disable_tls"),
        (PLAIN, {}, {"disable_ssl": False}, "does not speak TLS from the first byte"),
        (STARTTLS, {"trusted": False}, {}, "certificate of the server is not trusted"),
        (STARTTLS, {"name": "other.test"}, {}, "certificate of the server is for another"),
        (STARTTLS, {"valid_for": timedelta(days=-1)}, {}, "certificate of the server has expired"),
        (STARTTLS, {}, {"login": "ann", "password": "wrong"}, "535: it refuses the login"),
        (STARTTLS, {}, {"to": "ben@elsewhere.test"}, "554: it does not relay mail"),
        (STARTTLS, {}, {"disable_tls": True, "disable_ssl": True}, "530: it asks for STARTTLS first"),
        (STARTTLS, {}, {"to": "ben"}, "the recipient is not a mail address"),
        (STARTTLS, {}, {"host": "no-such-host.invalid"}, "name of the server is not known"),
    ],
)
def test_a_refusal_is_told_for_what_it_is(
    kind: str,
    certificate: dict[str, Any],
    given: dict[str, Any],
    said: str,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, port = start(kind, **certificate)
    with pytest.raises(NotTaken) as refusal:
        send(monkeypatch, port, **given)
    assert said in str(refusal.value)
    assert "Operation not permitted" not in str(refusal.value)
    assert server.taken == []


def test_a_password_is_not_sent_in_plain_text(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    _, port = start(PLAIN)
    monkeypatch.setattr(channels, "SMTP_PORT", port)
    with pytest.raises(NotTaken, match="does not offer STARTTLS"):
        send(monkeypatch, port, login="ann", password="secret")


def test_a_server_that_is_away_or_hangs_up_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotTaken, match="nothing listens"):
        send(monkeypatch, free_port())
    # Nobody accepts: the kernel does, and no greeting comes.
    silent = socket.create_server(("127.0.0.1", 0))
    with closing(silent), pytest.raises(NotTaken, match="does not answer in time"):
        send(monkeypatch, silent.getsockname()[1], host="127.0.0.1", timeout=1)


def test_a_message_to_several_reaches_each(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server, port = start(STARTTLS)
    send(monkeypatch, port, to="ann@example.com; Ben Lee <ben@example.com>")
    assert server.taken == [(["ann@example.com", "ben@example.com"], True)]


def test_the_connection_can_be_examined_without_a_mail(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server, port = start(STARTTLS)
    send(monkeypatch, port)
    assert channels.Email("smtp_default").check() == f"{HOST}:{port}"
    monkeypatch.setenv(
        "AIRFLOW_CONN_SMTP_DEFAULT", json.dumps({"conn_type": "smtp", "host": HOST, "port": free_port()})
    )
    with pytest.raises(PlatformError, match=r"nothing listens.*AIRFLOW_CONN_SMTP_DEFAULT"):
        channels.Email("smtp_default").check()
    assert len(server.taken) == 1
