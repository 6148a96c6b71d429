"""The channels: Slack and a mail server, as Airflow has connections for them."""

from __future__ import annotations

import logging
import os
import re
import smtplib
from collections.abc import Mapping
from datetime import timedelta
from email.message import EmailMessage
from email.utils import formatdate
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

from adventureworks.errors import PlatformError
from adventureworks.outbox.desk import EMAIL, SLACK
from adventureworks.outbox.post import REFUSED_PAUSE, Message
from adventureworks.outbox.sending import Channel, NotTaken
from adventureworks.settings import Settings

SENDER = "adventureworks@localhost"
SLACK_TIMEOUT_SECONDS = 60
SMTP_TIMEOUT_SECONDS = 20
"""For a command. The connection itself waits as long as Airflow's connection says (`timeout`, 30 s)."""
END_OF_MAIL_TIMEOUT_SECONDS = 600
"""For the answer to a whole mail, as RFC 5321 (4.5.3.2.6) wants it: who does not wait for it sends the mail again."""
_SEND_IT = 354
_DOT_AT_BEGIN = re.compile(rb"^\.", re.MULTILINE)
_REFUSED_FOR_GOOD = range(550, 560)
"""What a mail server says of one mail or one recipient, not of its own state."""


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
            letter = message.letter
            answer = client.send(
                text=letter.summary or letter.subject,
                blocks=list(letter.blocks) or None,
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
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        try:
            with SmtpHook(smtp_conn_id=self._connection_id) as hook:
                mail = composed(message, hook.from_email or SENDER)
                # The hook's own method sends no text part, and tries six times whatever the server says.
                _hand_over(hook._smtp_client, mail)  # type: ignore[arg-type]
        except NotTaken:
            raise
        except Exception as error:
            raise NotTaken(reason(error), REFUSED_PAUSE if _refuses_this_one(error) else None) from None


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
    server.send_message(mail)


def composed(message: Message, sender: str) -> EmailMessage:
    """The mail as it goes out: text, HTML with its images, attachments."""
    letter = message.letter
    domain = sender.rpartition("@")[2].strip(" >") or "localhost"
    mail = EmailMessage()
    mail["Subject"] = letter.subject
    mail["From"] = sender
    mail["To"] = message.recipient
    mail["Date"] = formatdate()
    mail["Auto-Submitted"] = "auto-generated"
    # The same at every try: who gets it twice all the same can tell.
    mail["Message-ID"] = f"<{message.message_id}@{domain}>"
    if message.thread:
        # So mail programs show report and recovery as one conversation.
        mail["References"] = f"<{message.thread}@{domain}>"
    mail.set_content(letter.text)
    mail.add_alternative(letter.html, subtype="html")
    page = mail.get_payload()[1]  # type: ignore[index]
    for image in letter.images:
        page.add_related(  # type: ignore[union-attr]
            image.content,
            *image.media_type.split("/", 1),
            cid=f"<{image.name}>",
            filename=image.name,
            disposition="inline",
        )
    for attachment in letter.attachments:
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


def reason(error: Exception) -> str:
    """Why something was not sent, without anything that a server or an address may give away."""
    if isinstance(error, PlatformError):
        return error.cause.rstrip(".")
    if isinstance(error, URLError) and isinstance(error.reason, Exception):
        return reason(error.reason)
    status = _smtp_status(error)
    if status:
        return f"the server answers {status}"
    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and number > 0 else type(error).__name__


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
