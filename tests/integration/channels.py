"""A local mail server and webhook that record what they receive."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller

SECRET = "T000/B000/sEcReT"


@dataclass
class Inbox:
    """The mails that the server accepted; `refuses` are recipients that it rejects."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    slow_seconds: float = 0
    """Delay before it accepts a recipient."""
    reading_seconds: float = 0
    """Time to read a mail: a mail whose sender disconnects meanwhile is not accepted."""
    answers_after_seconds: float = 0
    """Delay before it confirms that a mail is accepted."""
    begun: int = 0
    """Number of mails that it began to read."""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        await asyncio.sleep(self.slow_seconds)
        if address in self.refuses:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.begun += 1
        await asyncio.sleep(self.reading_seconds)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        await asyncio.sleep(self.answers_after_seconds)
        return "250 OK"

    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]


@dataclass
class Webhook:
    """The requests to the webhook, and its response."""

    port: int = 0
    answer: int = 200
    retry_after: int = 0
    """Value of the Retry-After header, in seconds, in responses other than 200."""
    answers_after_seconds: float = 0
    paths: list[str] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)

    def headers(self) -> list[str]:
        return [post["blocks"][0]["text"]["text"] for post in self.posts]


@contextmanager
def receiving() -> Iterator[Inbox]:
    """Run a mail server, and yield what it receives."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        inbox = Inbox(port=free.getsockname()[1])
    controller = Controller(inbox, hostname="127.0.0.1", port=inbox.port)
    controller.start()
    try:
        yield inbox
    finally:
        controller.stop()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with receiving() as inbox:
        yield inbox


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.paths.append(self.path)
            hook.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            time.sleep(hook.answers_after_seconds)
            # The client may have disconnected by now.
            with suppress(ConnectionError):
                self.answer()

        def answer(self) -> None:
            self.send_response(hook.answer)
            if hook.answer != 200 and hook.retry_after:
                self.send_header("Retry-After", str(hook.retry_after))
            self.end_headers()
            self.wfile.write(b"ok" if hook.answer == 200 else f"no {SECRET}".encode())

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield hook
    server.shutdown()
    thread.join()
    server.server_close()


def use_slack(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    connection = {"conn_type": "slackwebhook", "host": f"http://127.0.0.1:{port}/services", "password": SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_DEFAULT", json.dumps(connection))


def use_mail(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "data@example.org"}
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
