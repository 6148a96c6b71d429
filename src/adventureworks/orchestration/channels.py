"""The message channels, Slack and a mail server, for which Airflow holds the connections."""

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

from adventureworks.errors import PlatformError, Step
from adventureworks.messaging.addresses import addresses
from adventureworks.messaging.recipients import EMAIL, SLACK
from adventureworks.messaging.sending import Channel, NotSent
from adventureworks.messaging.store import REFUSED_PAUSE, Message
from adventureworks.settings import Settings
from adventureworks.texts.plain import plain

SENDER = "adventureworks@localhost"
SLACK_TIMEOUT_SECONDS = 60
SMTP_TIMEOUT_SECONDS = 20
"""Timeout for one SMTP command. Connecting uses the timeout of Airflow's connection (`timeout`, 30 s)."""
END_OF_MAIL_TIMEOUT_SECONDS = 600
"""Timeout for the reply to a complete mail (RFC 5321, 4.5.3.2.6): a client that gives up earlier sends it twice."""
SMTP_PORT, SMTPS_PORT, SUBMISSION_PORT = 25, 465, 587
_START_MAIL_INPUT = 354
_LOGIN_REQUIRED = 530
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)
_REFUSED_PERMANENTLY = range(550, 560)
"""Reply codes that concern one mail or one recipient, not the state of the mail server."""


log = logging.getLogger(__name__)


class Slack:
    """Slack channels with incoming webhooks; a recipient is the id of an Airflow connection."""

    def send(self, message: Message) -> None:
        """Post one message. Raises NotSent if Slack answers anything but 200."""
        from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

        # Disable the client's own retries and log lines: the outbox retries, and the webhook address is a secret.
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
            raise NotSent(reason(error)) from None
        except (OSError, HTTPException) as error:
            # An error before the whole request is sent is a URLError, so Slack may have received this message.
            raise NotSent(f"no answer: {reason(error)}", maybe_sent=True) from None
        except Exception as error:
            raise NotSent(reason(error)) from None
        if answer.status_code != 200:
            pause = _seconds(answer.headers)
            maybe_sent = answer.status_code == HTTPStatus.GATEWAY_TIMEOUT
            raise NotSent(f"the server answers {answer.status_code}", pause, maybe_sent)


class Email:
    """A mail server; a recipient is an address."""

    def __init__(self, connection_id: str) -> None:
        self._connection_id = connection_id

    def send(self, message: Message) -> None:
        """Send one mail. Raises NotSent if the server does not accept it."""
        try:
            with mail_server(self._connection_id) as hook:
                mail = compose_mail(message, hook.from_email or SENDER)
                # The hook's own method sends no text part and makes six attempts whatever the server answers.
                _transmit(hook._smtp_client, mail)
        except NotSent:
            raise
        except Exception as error:
            raise NotSent(reason(error), REFUSED_PAUSE if _is_refused_permanently(error) else None) from None

    def check(self) -> str:
        """Return the address of the mail server. Raises PlatformError if it does not answer or accept the login."""
        try:
            with mail_server(self._connection_id) as hook:
                return f"{hook.host}:{hook._smtp_client.sock.getpeername()[1]}"
        except Exception as error:
            raise PlatformError(
                f"The mail server of the connection {self._connection_id} cannot be used: {reason(error)}.",
                Step(
                    f"Correct AIRFLOW_CONN_{self._connection_id.upper()} (docs/operate/local.md), then:",
                    "adventureworks doctor",
                ),
            ) from None


def flag(value: Any) -> bool:
    """Return an option of a connection's extra as a boolean; a connection given as a URI holds it as a string."""
    return str(value).strip().lower() not in ("", "0", "false", "no", "off", "none")


def mail_server(connection_id: str) -> Any:
    """Return a context manager that logs in to the mail server and yields Airflow's hook.

    By default Airflow's hook uses TLS from the first byte on any port and then also requests STARTTLS. Here the port
    determines which of the two is used, unless the connection's extra does.
    """
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    class Hook(SmtpHook):
        @property
        def _extra(self) -> Mapping[str, Any]:
            return dict(self.conn.extra_dejson)

        @property
        def smtp_retry_limit(self) -> int:
            return 0  # The outbox retries.

        @property
        def use_ssl(self) -> bool:
            if "disable_ssl" in self._extra:
                return not flag(self._extra["disable_ssl"])
            # As in Airflow, without STARTTLS there is TLS from the first byte, except on ports that never use it.
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
            # On port 25, between mail servers, certificates can rarely be verified, and the alternative is plain text.
            return self._extra.get("ssl_context", "none" if self._is_opportunistic else None)

        @property
        def _is_opportunistic(self) -> bool:
            # A password is never sent in plain text unless the extra says so.
            return self.port == SMTP_PORT and "disable_tls" not in self._extra and not self.smtp_password

    return Hook(smtp_conn_id=connection_id)


def _transmit(server: smtplib.SMTP, mail: EmailMessage) -> None:
    """Send a mail with a short timeout for each command and a long one for the reply to the complete mail."""

    def data(content: bytes) -> tuple[int, bytes]:
        code, reply = server.docmd("DATA")
        if code != _START_MAIL_INPUT:
            raise smtplib.SMTPDataError(code, reply)
        server.sock.settimeout(END_OF_MAIL_TIMEOUT_SECONDS)  # type: ignore[union-attr]
        lines = content if content.endswith(b"\r\n") else content + b"\r\n"
        server.send(_LEADING_DOT.sub(b"..", lines) + b".\r\n")
        try:
            return server.getreply()
        except (OSError, smtplib.SMTPServerDisconnected) as error:
            raise NotSent(f"no reply to the complete mail: {reason(error)}", maybe_sent=True) from None

    server.sock.settimeout(SMTP_TIMEOUT_SECONDS)  # type: ignore[union-attr]
    # smtplib has one timeout for everything; otherwise its way of sending a mail is right.
    server.data = data  # type: ignore[assignment, method-assign]
    refused = server.send_message(mail)
    for answer in refused.values():
        log.warning("One of several recipients of a mail was refused: %s.", _answer(answer[0], answer[1]))


def compose_mail(message: Message, sender: str) -> EmailMessage:
    """Return the mail to send: text, HTML with its images, attachments.

    Raises NotSent if the recipient is not an address.
    """
    content = message.content
    try:
        recipients = addresses(message.recipient)
    except ValueError:
        raise NotSent("the recipient is not a mail address", REFUSED_PAUSE) from None
    domain = sender.rpartition("@")[2].strip(" >") or "localhost"
    mail = EmailMessage()
    mail["Subject"] = " ".join(plain(content.subject).split())
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Date"] = formatdate()
    mail["Auto-Submitted"] = "auto-generated"
    # The same on every attempt, so that a recipient who still gets the mail twice can recognise the duplicate.
    mail["Message-ID"] = f"<{message.message_id}@{domain}>"
    if message.thread:
        # Mail programs then show the report and the recovery as one conversation.
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
    """Return the channels for which Airflow has a connection."""
    found: dict[str, Channel] = {}
    if _is_configured(known.slack_connection):
        found[SLACK] = Slack()
    if _is_configured(known.smtp_connection):
        found[EMAIL] = Email(known.smtp_connection)
    return found


def ui_url(known: Settings) -> str:
    """Return the address of Airflow's UI."""
    from airflow.sdk.configuration import conf

    return known.ui_url or str(conf.get("api", "base_url", fallback="") or "")


def reason(error: BaseException) -> str:
    """Return why something was not sent, without anything confidential from a server's answer or an address."""
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
        return "the server name is unknown or cannot be resolved at the moment"
    if isinstance(error, ConnectionRefusedError):
        return "the connection is refused: nothing listens at this address and port"
    if isinstance(error, ConnectionError):
        return "the server closed the connection"
    if isinstance(error, HTTPException):
        return "the server does not answer like a web server"
    if isinstance(error, OSError) and isinstance(error.errno, int) and error.errno > 0:
        return os.strerror(error.errno)
    # Airflow replaces the error of a lost connection; the original is only in the context.
    if isinstance(error.__context__, smtplib.SMTPException):
        return reason(error.__context__)
    return type(error).__name__


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        problem = _CERTIFICATE_PROBLEMS.get(error.verify_code, f"cannot be verified ({error.verify_message})")
        return f"the certificate of the server {problem}"
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "the server broke off the TLS handshake"
    kind = str(error.reason or "").lower()
    if any(part in kind for part in ("wrong_version_number", "record_layer_failure", "packet_length", "http_request")):
        return "the server does not speak TLS from the first byte on this port; for mail see disable_ssl"
    if "alert" in kind or "protocol" in kind:
        return f"the server refuses the TLS handshake ({kind.replace('_', ' ')})"
    return f"TLS fails ({kind.replace('_', ' ') or type(error).__name__})"


_CERTIFICATE_PROBLEMS = {
    9: "is not valid yet",
    10: "has expired",
    **dict.fromkeys((18, 19, 20, 21), "is not trusted: it is not signed by an authority that this machine trusts"),
    62: "is for another host name",
    64: "is for another address",
}
"""OpenSSL's error codes (X509_V_ERR_…) -> what is wrong with the certificate."""


def _smtp_reason(error: smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPServerDisconnected):
        # smtplib raises the same error if the server does not answer in time.
        return reason(error.__context__ if isinstance(error.__context__, TimeoutError) else ConnectionResetError())
    if isinstance(error, smtplib.SMTPNotSupportedError):
        message = str(error).upper()
        if "STARTTLS" in message:
            return "the server does not offer STARTTLS; to send in plain text set disable_tls"
        return "the server offers no login" if "AUTH" in message else "the server does not accept such an address"
    status = _smtp_status(error)
    if status is None:
        return type(error).__name__
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _answer(*next(iter(error.recipients.values())))
    answer = _answer(status, getattr(error, "smtp_error", b""))
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"{answer}: it refuses the login"
    if isinstance(error, smtplib.SMTPSenderRefused) and ":" not in answer:
        return f"{answer}: it refuses the sender (from_email)"
    return answer


def _answer(status: int, words: bytes | str) -> str:
    """Return the code of a server's answer and what it means; its text is left out, as it may contain names."""
    text = (words.decode(errors="replace") if isinstance(words, bytes) else str(words)).lower()
    meanings = {"starttls": "it requires STARTTLS first", "relay": "it does not relay mail to this recipient"}
    meaning = next((meaning for word, meaning in meanings.items() if word in text), "")
    if not meaning and status == _LOGIN_REQUIRED:
        meaning = "it requires a login first"
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


def _is_refused_permanently(error: Exception) -> bool:
    return _smtp_status(error) in _REFUSED_PERMANENTLY


def _seconds(headers: Mapping[str, Any]) -> timedelta | None:
    """Return how long Slack asks to wait before the next attempt."""
    value = str(next((text for name, text in headers.items() if name.lower() == "retry-after"), ""))
    return timedelta(seconds=min(int(value), 3600)) if value.isdigit() else None
