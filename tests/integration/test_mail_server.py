"""Real-world mail servers: encryption by port, and error messages for rejected mails."""

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
from adventureworks.messaging.sending import NotSent
from adventureworks.messaging.store import Message
from adventureworks.orchestration import channels
from tests.integration.tls import self_signed

HOST = "localhost"
PLAIN, STARTTLS, TLS = "plain", "starttls", "tls"


class Server:
    """Records the recipients of each accepted mail, and whether the connection was upgraded with STARTTLS."""

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
    """A controller that accepts any certificate when it checks that its server has started."""

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
    """Return a function that starts a mail server, whose certificate this process trusts by default."""
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
def test_port_determines_the_encryption_unless_the_extra_does(
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
    assert server.taken == [(["ann@example.com"], upgraded)], "no header adds another recipient"


@pytest.mark.parametrize(
    ("kind", "certificate", "given", "message"),
    [
        (PLAIN, {}, {}, "does not offer STARTTLS; to send in plain text set disable_tls"),
        (PLAIN, {}, {"disable_ssl": False}, "does not speak TLS from the first byte"),
        (STARTTLS, {"trusted": False}, {}, "certificate of the server is not trusted"),
        (STARTTLS, {"name": "other.test"}, {}, "certificate of the server is for another"),
        (STARTTLS, {"valid_for": timedelta(days=-1)}, {}, "certificate of the server has expired"),
        (STARTTLS, {}, {"login": "ann", "password": "wrong"}, "535: it refuses the login"),
        (STARTTLS, {}, {"to": "ben@elsewhere.test"}, "554: it does not relay mail"),
        (STARTTLS, {}, {"disable_tls": True, "disable_ssl": True}, "530: it requires STARTTLS first"),
        (STARTTLS, {}, {"to": "ben"}, "the recipient is not a mail address"),
        (STARTTLS, {}, {"host": "no-such-host.invalid"}, "server name is unknown"),
    ],
)
def test_failure_is_reported_with_its_cause(
    kind: str,
    certificate: dict[str, Any],
    given: dict[str, Any],
    message: str,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, port = start(kind, **certificate)
    with pytest.raises(NotSent) as failure:
        send(monkeypatch, port, **given)
    assert message in str(failure.value)
    assert "Operation not permitted" not in str(failure.value)
    assert server.taken == []


def test_password_is_not_sent_unencrypted(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    _, port = start(PLAIN)
    monkeypatch.setattr(channels, "SMTP_PORT", port)
    with pytest.raises(NotSent, match="does not offer STARTTLS"):
        send(monkeypatch, port, login="ann", password="secret")


def test_unreachable_or_silent_server_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotSent, match="nothing listens"):
        send(monkeypatch, free_port())
    # The kernel accepts the connection, but no process sends a greeting.
    silent = socket.create_server(("127.0.0.1", 0))
    with closing(silent), pytest.raises(NotSent, match="does not answer in time"):
        send(monkeypatch, silent.getsockname()[1], host="127.0.0.1", timeout=1)


def test_message_to_several_recipients_reaches_each(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server, port = start(STARTTLS)
    send(monkeypatch, port, to="ann@example.com; Ben Lee <ben@example.com>")
    assert server.taken == [(["ann@example.com", "ben@example.com"], True)]


def test_connection_can_be_checked_without_sending_a_mail(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server, port = start(STARTTLS)
    send(monkeypatch, port)
    assert channels.Email("smtp_default").check() == f"{HOST}:{port}"
    monkeypatch.setenv(
        "AIRFLOW_CONN_SMTP_DEFAULT", json.dumps({"conn_type": "smtp", "host": HOST, "port": free_port()})
    )
    with pytest.raises(PlatformError, match=r"nothing listens.*AIRFLOW_CONN_SMTP_DEFAULT"):
        channels.Email("smtp_default").check()
    assert len(server.taken) == 1
