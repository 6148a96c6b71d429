"""The channels: Slack and a mail server, as Airflow has connections for them."""

from __future__ import annotations

import logging
import os
import re
import smtplib
import socket
import ssl
from collections.abc import Mapping
from datetime import timedelta
from email.message import EmailMessage
from email.utils import formatdate
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

from adventureworks.errors import PlatformError
from adventureworks.messaging.addresses import addresses
from adventureworks.messaging.recipients import EMAIL, SLACK
from adventureworks.messaging.sending import Channel, NotTaken
from adventureworks.messaging.store import REFUSED_PAUSE, Message
from adventureworks.settings import Settings
from adventureworks.texts.plain import plain

SENDER = "adventureworks@localhost"
SLACK_TIMEOUT_SECONDS = 60
SMTP_TIMEOUT_SECONDS = 20
"""For a command. The connection itself waits as long as Airflow's connection says (`timeout`, 30 s)."""
END_OF_MAIL_TIMEOUT_SECONDS = 600
"""For the answer to a whole mail, as RFC 5321 (4.5.3.2.6) wants it: who does not wait for it sends the mail again."""
SMTP_PORT, SMTPS_PORT, SUBMISSION_PORT = 25, 465, 587
_SEND_IT = 354
_WANTS_LOGIN = 530
_DOT_AT_BEGIN = re.compile(rb"^\.", re.MULTILINE)
_REFUSED_FOR_GOOD = range(550, 560)
"""What a mail server says of one mail or one recipient, not of its own state."""


log = logging.getLogger(__name__)


class Slack:
    """The Slack channels behind incoming webhooks; a recipient is the name of an Airflow connection."""

    def send(self, message: Message) -> None:
        """Posts one message; NotTaken where Slack answers anything but 200."""
        from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

        # Without Slack's own retries and log lines: a second try is ours to make, and the address is a secret.
        quiet = logging.getLogger(f"{__name__}.slack")
        quiet.setLevel(logging.CRITICAL)
        try:
            client = SlackWebhookHook(
                slack_webhook_conn_id=message.recipient,
                timeout=SLACK_TIMEOUT_SECONDS,
                retry_handlers=[],
                logger=quiet,
            ).client
            content = message.content
            answer = client.send(
                text=content.summary or content.subject,
                blocks=list(content.blocks) or None,
                unfurl_links=False,
                unfurl_media=False,
            )
        except URLError as error:
            raise NotTaken(reason(error)) from None
        except (OSError, HTTPException) as error:
            # What goes wrong before all of it is sent is a URLError.
            raise NotTaken(f"no answer: {reason(error)}", doubtful=True) from None
        except Exception as error:
            raise NotTaken(reason(error)) from None
        if answer.status_code != 200:
            pause = _seconds(answer.headers)
            doubtful = answer.status_code == HTTPStatus.GATEWAY_TIMEOUT
            raise NotTaken(f"the server answers {answer.status_code}", pause, doubtful)


class Email:
    """The mail server; a recipient is an address."""

    def __init__(self, connection_id: str) -> None:
        self._connection_id = connection_id

    def send(self, message: Message) -> None:
        """Sends one mail; NotTaken where the server does not take it."""
        try:
            with mail_server(self._connection_id) as hook:
                mail = composed(message, hook.from_email or SENDER)
                # The hook's own method sends no text part, and tries six times whatever the server says.
                _hand_over(hook._smtp_client, mail)
        except NotTaken:
            raise
        except Exception as error:
            raise NotTaken(reason(error), REFUSED_PAUSE if _refuses_this_one(error) else None) from None

    def check(self) -> str:
        """The address of the mail server, which answers and takes the login. Raises PlatformError if it does not."""
        try:
            with mail_server(self._connection_id) as hook:
                return f"{hook.host}:{hook._smtp_client.sock.getpeername()[1]}"
        except Exception as error:
            raise PlatformError(
                f"The mail server of the connection {self._connection_id} cannot be used: {reason(error)}.",
                f"Correct the connection (docs/operate/local.md, AIRFLOW_CONN_{self._connection_id.upper()}), then:"
                " adventureworks doctor",
            ) from None


def flag(value: Any) -> bool:
    """An option of a connection's extra as a truth value: in a connection that is written as a URI it is a text."""
    return str(value).strip().lower() not in ("", "0", "false", "no", "off", "none")


def mail_server(connection_id: str) -> Any:
    """A connection to the mail server, logged in: a context that gives Airflow's hook.

    Airflow's own hook speaks TLS from the first byte on any port, then asks for STARTTLS as well. Here the port says
    which of them, unless the connection's extra does.
    """
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    class Hook(SmtpHook):
        @property
        def _extra(self) -> Mapping[str, Any]:
            return dict(self.conn.extra_dejson)

        @property
        def smtp_retry_limit(self) -> int:
            return 0  # Another try is the outbox's to make.

        @property
        def use_ssl(self) -> bool:
            if "disable_ssl" in self._extra:
                return not flag(self._extra["disable_ssl"])
            # As Airflow reads it: without STARTTLS there is TLS from the first byte, but not on ports that never have
            # it.
            only_tls = flag(self._extra.get("disable_tls", False)) and self.port not in (SMTP_PORT, SUBMISSION_PORT)
            return only_tls or self.port in (None, 0, SMTPS_PORT)

        @property
        def smtp_starttls(self) -> bool:
            if self.use_ssl:
                return False
            if "disable_tls" in self._extra:
                return not flag(self._extra["disable_tls"])
            if not self._is_opportunistic:
                return True
            client: Any = self._smtp_client
            client.ehlo_or_helo_if_needed()
            return bool(client.has_extn("starttls"))

        @property
        def ssl_context(self) -> str | None:
            # Between mail servers on port 25 certificates can rarely be verified, and plain text is the alternative.
            return self._extra.get("ssl_context", "none" if self._is_opportunistic else None)

        @property
        def _is_opportunistic(self) -> bool:
            # A password is never sent in plain text unless the extra says so.
            return self.port == SMTP_PORT and "disable_tls" not in self._extra and not self.smtp_password

    return Hook(smtp_conn_id=connection_id)


def _hand_over(server: smtplib.SMTP, mail: EmailMessage) -> None:
    """Sends a mail with little patience for each command, and much for the answer to the whole mail."""

    def data(content: bytes) -> tuple[int, bytes]:
        code, said = server.docmd("DATA")
        if code != _SEND_IT:
            raise smtplib.SMTPDataError(code, said)
        server.sock.settimeout(END_OF_MAIL_TIMEOUT_SECONDS)  # type: ignore[union-attr]
        lines = content if content.endswith(b"\r\n") else content + b"\r\n"
        server.send(_DOT_AT_BEGIN.sub(b"..", lines) + b".\r\n")
        try:
            return server.getreply()
        except (OSError, smtplib.SMTPServerDisconnected) as error:
            raise NotTaken(f"no answer to the whole mail: {reason(error)}", doubtful=True) from None

    server.sock.settimeout(SMTP_TIMEOUT_SECONDS)  # type: ignore[union-attr]
    # The library has one timeout for everything; the rest of its way to send a mail is right.
    server.data = data  # type: ignore[assignment, method-assign]
    refused = server.send_message(mail)
    for answer in refused.values():
        log.warning("One of several recipients of a mail was refused: %s.", _answer(answer[0], answer[1]))


def composed(message: Message, sender: str) -> EmailMessage:
    """The mail as it goes out: text, HTML with its images, attachments. NotTaken where the recipient is no address."""
    content = message.content
    try:
        recipients = addresses(message.recipient)
    except ValueError:
        raise NotTaken("the recipient is not a mail address", REFUSED_PAUSE) from None
    domain = sender.rpartition("@")[2].strip(" >") or "localhost"
    mail = EmailMessage()
    mail["Subject"] = " ".join(plain(content.subject).split())
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Date"] = formatdate()
    mail["Auto-Submitted"] = "auto-generated"
    # The same at every try: who gets it twice all the same can tell.
    mail["Message-ID"] = f"<{message.message_id}@{domain}>"
    if message.thread:
        # So mail programs show report and recovery as one conversation.
        mail["References"] = f"<{message.thread}@{domain}>"
    mail.set_content(content.text)
    mail.add_alternative(content.html, subtype="html")
    page = mail.get_payload()[1]  # type: ignore[index]
    for image in content.images:
        page.add_related(  # type: ignore[union-attr]
            image.content,
            *image.media_type.split("/", 1),
            cid=f"<{image.name}>",
            filename=image.name,
            disposition="inline",
        )
    for attachment in content.attachments:
        mail.add_attachment(attachment.content, *attachment.media_type.split("/", 1), filename=attachment.name)
    return mail


def configured(known: Settings) -> dict[str, Channel]:
    """The channels that Airflow has a connection for."""
    found: dict[str, Channel] = {}
    if _is_configured(known.slack_connection):
        found[SLACK] = Slack()
    if _is_configured(known.smtp_connection):
        found[EMAIL] = Email(known.smtp_connection)
    return found


def ui_url(known: Settings) -> str:
    """The address of Airflow's UI."""
    from airflow.sdk.configuration import conf

    return known.ui_url or str(conf.get("api", "base_url", fallback="") or "")


def reason(error: BaseException) -> str:
    """Why something was not sent, without anything that a server or an address may give away."""
    if isinstance(error, PlatformError):
        return error.cause.rstrip(".")
    if isinstance(error, URLError) and isinstance(error.reason, Exception):
        return reason(error.reason)
    if isinstance(error, ssl.SSLError):
        return _tls_reason(error)
    if isinstance(error, smtplib.SMTPException):
        return _smtp_reason(error)
    if isinstance(error, TimeoutError):
        return "the server does not answer in time"
    if isinstance(error, socket.gaierror):
        return "the name of the server is not known, or cannot be looked up now"
    if isinstance(error, ConnectionRefusedError):
        return "the connection is refused: nothing listens at this address and port"
    if isinstance(error, ConnectionError):
        return "the server closed the connection"
    if isinstance(error, HTTPException):
        return "the server does not answer as a web server does"
    if isinstance(error, OSError) and isinstance(error.errno, int) and error.errno > 0:
        return os.strerror(error.errno)
    # Airflow words a lost connection anew, and drops what it was.
    if isinstance(error.__context__, smtplib.SMTPException):
        return reason(error.__context__)
    return type(error).__name__


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        said = _CERTIFICATE.get(error.verify_code, f"cannot be verified ({error.verify_message})")
        return f"the certificate of the server {said}"
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "the server broke off the TLS handshake"
    kind = str(error.reason or "").lower()
    if any(part in kind for part in ("wrong_version_number", "record_layer_failure", "packet_length", "http_request")):
        return "the server does not speak TLS from the first byte on this port; for mail see disable_ssl"
    if "alert" in kind or "protocol" in kind:
        return f"the server refuses the TLS handshake ({kind.replace('_', ' ')})"
    return f"TLS fails ({kind.replace('_', ' ') or type(error).__name__})"


_CERTIFICATE = {
    9: "is not valid yet",
    10: "has expired",
    **dict.fromkeys((18, 19, 20, 21), "is not trusted: no authority that this machine knows has signed it"),
    62: "is for another host name",
    64: "is for another address",
}
"""By OpenSSL's codes (X509_V_ERR_…)."""


def _smtp_reason(error: smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPServerDisconnected):
        # The library says the same of a server that is silent for too long.
        return reason(error.__context__ if isinstance(error.__context__, TimeoutError) else ConnectionResetError())
    if isinstance(error, smtplib.SMTPNotSupportedError):
        said = str(error).upper()
        if "STARTTLS" in said:
            return "the server does not offer STARTTLS; to send in plain text set disable_tls"
        return "the server offers no login" if "AUTH" in said else "the server does not take such an address"
    status = _smtp_status(error)
    if status is None:
        return type(error).__name__
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _answer(*next(iter(error.recipients.values())))
    said = _answer(status, getattr(error, "smtp_error", b""))
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"{said}: it refuses the login"
    if isinstance(error, smtplib.SMTPSenderRefused) and ":" not in said:
        return f"{said}: it refuses the sender (from_email)"
    return said


def _answer(status: int, words: bytes | str) -> str:
    """The server's answer: its number, and what it means. Its words may hold names."""
    text = (words.decode(errors="replace") if isinstance(words, bytes) else str(words)).lower()
    meanings = {"starttls": "it asks for STARTTLS first", "relay": "it does not relay mail to this recipient"}
    meaning = next((said for word, said in meanings.items() if word in text), "")
    if not meaning and status == _WANTS_LOGIN:
        meaning = "it asks for a login first"
    return f"the server answers {status}{': ' if meaning else ''}{meaning}"


def _is_configured(connection_id: str) -> bool:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        BaseHook.get_connection(connection_id)
    except AirflowNotFoundException:
        return False
    return True


def _smtp_status(error: Exception) -> int | None:
    code = getattr(error, "smtp_code", None)
    if isinstance(code, int):
        return code
    refused = getattr(error, "recipients", None)
    if isinstance(refused, Mapping) and refused:
        first = next(iter(refused.values()))
        return int(first[0]) if isinstance(first, tuple) else None
    return None


def _refuses_this_one(error: Exception) -> bool:
    return _smtp_status(error) in _REFUSED_FOR_GOOD


def _seconds(headers: Mapping[str, Any]) -> timedelta | None:
    """How long Slack wants to be left alone."""
    value = str(next((text for name, text in headers.items() if name.lower() == "retry-after"), ""))
    return timedelta(seconds=min(int(value), 3600)) if value.isdigit() else None
