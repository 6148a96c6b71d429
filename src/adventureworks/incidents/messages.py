"""The words: incidents and notices as a Slack message (Block Kit) and as an e-mail. Nothing is sent here.

One incident gives a message with all that its owner needs, several give one summary. Whether it is a report or a
recovery follows from the incidents' status: a message is about the one or about the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from adventureworks.incidents.ledger import TASK_RULE, Incident
from adventureworks.incidents.notices import Listing, Notice
from adventureworks.outbox.letters import Letter

if TYPE_CHECKING:
    from jinja2 import Environment

Block = dict[str, Any]
Kind = Literal["opened", "worsened", "reminder", "recovered"]
"""Why incidents are told of."""

PRODUCT = "AdventureWorks"
MOST_AT_ONCE = 5
"""More incidents than this for one recipient become one summary."""

# Slack's limits: https://api.slack.com/reference/block-kit/blocks
_LONGEST_HEADER = 150
_LONGEST_SECTION = 3000
_LONGEST_FIELD = 2000
_LONGEST_SUBJECT = 160
_MOST_LINES = 40
_MOST_ROWS = 200
_LONGEST_LINE = 400


def letter_about(incidents: Sequence[Incident], kind: Kind, ui_url: str = "", language: str = "en") -> Letter:
    """One message about these incidents; all of them are resolved, or none is."""
    shown, posted = mail(incidents, ui_url), slack(incidents, ui_url)
    prefix = {"opened": "", "worsened": "Worse: ", "reminder": "Still open: ", "recovered": ""}[kind]
    subject = shown.subject.replace(f"[{PRODUCT}] ", f"[{PRODUCT}] {prefix}", 1)
    return Letter(subject, shown.html, shown.text, summary=f"{prefix}{posted.text}", blocks=tuple(posted.blocks))


def letter_of_notice(notice: Notice, ui_url: str = "", language: str = "en") -> Letter:
    """One message with the digest of a notice."""
    shown, posted = mail_notice(notice, ui_url), slack_notice(notice, ui_url)
    return Letter(shown.subject, shown.html, shown.text, summary=posted.text, blocks=tuple(posted.blocks))


@dataclass(frozen=True)
class SlackMessage:
    """`text` is what notifications and screen readers show, `blocks` what the channel shows."""

    text: str
    blocks: list[Block]


@dataclass(frozen=True)
class Mail:
    """An e-mail without its addresses."""

    subject: str
    html: str
    text: str


def slack(incidents: Sequence[Incident], ui_url: str = "") -> SlackMessage:
    """One Slack message about these incidents, all of them open or all of them resolved."""
    title = _title(incidents)
    blocks = _one(incidents[0], ui_url) if len(incidents) == 1 else _several(incidents)
    header = {"type": "header", "text": {"type": "plain_text", "text": _cut(title, _LONGEST_HEADER), "emoji": False}}
    summary = escaped(f"{title}. {incidents[0].summary}" if len(incidents) == 1 else title)
    return SlackMessage(text=_cut(summary, _LONGEST_SECTION), blocks=[header, *blocks])


def mail(incidents: Sequence[Incident], ui_url: str = "") -> Mail:
    """One e-mail about these incidents, all of them open or all of them resolved."""
    title = _title(incidents)
    single = incidents[0] if len(incidents) == 1 else None
    subject = f"{title}: {single.rule}" if single else f"{title}: {', '.join(_assets(incidents))}"
    values = {
        "title": title,
        "product": PRODUCT,
        "incidents": incidents[:_MOST_LINES],
        "more": max(len(incidents) - _MOST_LINES, 0),
        "ui_url": ui_url,
    }
    name = "incident" if single else "summary"
    environment = _environment()
    return Mail(
        subject=_cut(" ".join(f"[{PRODUCT}] {subject}".split()), _LONGEST_SUBJECT),
        html=environment.get_template(f"{name}.html").render(values),
        text=environment.get_template(f"{name}.txt").render(values),
    )


def slack_notice(notice: Notice, ui_url: str = "") -> SlackMessage:
    """One Slack message with the digest; each of its listings is cut at a number of lines, and says so."""
    digest = notice.digest
    header = {
        "type": "header",
        "text": {"type": "plain_text", "text": _cut(digest.subject, _LONGEST_HEADER), "emoji": False},
    }
    blocks = [_section(part) for listing in digest.listings for part in _parts(_lines(listing))]
    foot = [_section(f"*Next:* {_with_command(digest.next_step)}"), _run(notice.run_id, ui_url)]
    return SlackMessage(text=_cut(escaped(digest.subject), _LONGEST_SECTION), blocks=[header, *blocks, *foot])


def mail_notice(notice: Notice, ui_url: str = "") -> Mail:
    """One e-mail with the digest."""
    values = {
        "title": notice.digest.subject,
        "notice": notice,
        "most": _MOST_ROWS,
        "address": _run_address(notice.run_id, ui_url),
    }
    environment = _environment()
    return Mail(
        subject=_cut(" ".join(f"[{PRODUCT}] {notice.digest.subject}".split()), _LONGEST_SUBJECT),
        html=environment.get_template("notice.html").render(values),
        text=environment.get_template("notice.txt").render(values),
    )


def log_line(incident: Incident) -> str:
    """The incident in one line."""
    if incident.status == "resolved":
        return f"{incident.asset} {outcome(incident)}: {incident.rule}. {ending(incident)}"
    return " ".join(
        f"{incident.asset} {outcome(incident)}: {incident.rule}. {incident.summary} {incident.next_step}".split()
    )


def outcome(incident: Incident) -> str:
    """What happened to the asset, in a word or two."""
    if incident.status == "resolved":
        return "recovered"
    if incident.rule.startswith(TASK_RULE):
        return "failed"
    if incident.severity == "error":
        return "blocked"
    return "rows set aside" if incident.failed else "warning"


def ending(incident: Incident) -> str:
    """How long a resolved incident lasted."""
    times = "once" if incident.seen_count == 1 else f"{incident.seen_count:,} times"
    until = f", over since {moment(incident.resolved_at)}" if incident.resolved_at else ""
    return f"Seen {times} since {moment(incident.first_seen)}{until}."


def counts(incident: Incident) -> str:
    """`3 of 121,317`, or empty where the rule does not count rows."""
    if incident.failed is None:
        return ""
    return f"{incident.failed:,}" if incident.total is None else f"{incident.failed:,} of {incident.total:,}"


def moment(when: datetime) -> str:
    """A point in time, to the minute."""
    return f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".rstrip()


def link(incident: Incident, ui_url: str) -> str:
    """The run (or the task in it) in Airflow's UI; empty without an address of the UI."""
    run = _run_address(incident.run_id, ui_url)
    if not run or not incident.rule.startswith(TASK_RULE):
        return run
    return f"{run}/tasks/{quote(incident.rule.removeprefix(TASK_RULE), safe='')}"


def escaped(text: str) -> str:
    """A text that Slack shows as it is: no mentions, no links, no markup of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _title(incidents: Sequence[Incident]) -> str:
    if len(incidents) == 1:
        return f"{incidents[0].asset} {outcome(incidents[0])}"
    return f"{len(incidents)} {'recovered' if incidents[0].status == 'resolved' else 'incidents'}"


def _assets(incidents: Sequence[Incident]) -> list[str]:
    return list(dict.fromkeys(incident.asset for incident in incidents))


def _one(incident: Incident, ui_url: str) -> list[Block]:
    if incident.status == "resolved":
        blocks = [_section(f"{escaped(ending(incident))}\nIt was: {escaped(incident.summary)}"), _facts(incident)]
    else:
        blocks = [_section(escaped(incident.summary)), _facts(incident)]
        if incident.next_step:
            blocks.append(_section(f"*Next:* {_with_command(incident.next_step)}"))
    return [*blocks, _context(link(incident, ui_url), incident.run_id)]


def _run(run_id: str, ui_url: str) -> Block:
    return _context(_run_address(run_id, ui_url), run_id)


def _run_address(run_id: str, ui_url: str) -> str:
    """The run in Airflow's UI; empty without an address of the UI."""
    dag, _, run = run_id.partition("/")
    if not ui_url or not run:
        return ""
    return f"{ui_url.rstrip('/')}/dags/{quote(dag, safe='')}/runs/{quote(run, safe='')}"


def _context(address: str, run_id: str) -> Block:
    text = f"<{escaped(address)}|Open the run in Airflow>" if address else f"Run {_code(run_id)}"
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": _cut(text, _LONGEST_FIELD)}]}


def _lines(listing: Listing) -> Iterator[str]:
    """The listing as lines, cut at a number of them with a count of the rest."""
    yield f"*{escaped(listing.heading)}* ({len(listing.rows):,})"
    for name, *cells in listing.rows[:_MOST_LINES]:
        first, *others = (escaped(cell) for cell in cells)
        labels = (escaped(column.lower()) for column in listing.columns[2:])
        details = "".join(f"; {label} {value}" for label, value in zip(labels, others, strict=True))
        yield _cut(f"• *{escaped(name)}* {first}{details}", _LONGEST_LINE)
    more = len(listing.rows) - _MOST_LINES
    if more > 0:
        yield f"And {more:,} more."


def _facts(incident: Incident) -> Block:
    facts = {"Rule": _code(incident.rule), "Owner": escaped(incident.owner)}
    if counts(incident):
        facts["Rows"] = counts(incident)
    if incident.examples:
        facts["For example"] = "\n".join(_code(example) for example in incident.examples)
    fields = [_mrkdwn(f"*{name}*\n{value}", _LONGEST_FIELD) for name, value in facts.items()]
    return {"type": "section", "fields": fields}


def _several(incidents: Sequence[Incident]) -> list[Block]:
    lines = [
        _cut(f"• *{escaped(i.asset)}* {outcome(i)}: {_code(i.rule)} {escaped(_gist(i))}", _LONGEST_LINE)
        for i in incidents[:_MOST_LINES]
    ]
    blocks = [_section(part) for part in _parts(lines)]
    more = len(incidents) - _MOST_LINES
    rest = f"And {more:,} more. " if more > 0 else ""
    return [*blocks, _section(f"{rest}*Next:* see them all: {_code('adventureworks status')}")]


def _with_command(text: str) -> str:
    words, command, arguments = text.partition("adventureworks ")
    return f"{escaped(words)}{_code(command + arguments)}" if command else escaped(text)


def _gist(incident: Incident) -> str:
    return ending(incident) if incident.status == "resolved" else incident.summary


def _parts(lines: Iterable[str]) -> Iterator[str]:
    """The lines in as few texts as a section's limit allows."""
    part = ""
    for line in lines:
        if part and len(part) + 1 + len(line) > _LONGEST_SECTION:
            yield part
            part = ""
        part = f"{part}\n{line}" if part else line
    yield part


def _section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn(text, _LONGEST_SECTION)}


def _mrkdwn(text: str, longest: int) -> Block:
    return {"type": "mrkdwn", "text": _cut(text, longest), "verbatim": True}


def _code(text: str) -> str:
    return f"`{escaped(text).replace('`', chr(39))}`"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("adventureworks.incidents"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = {"outcome": outcome, "ending": ending, "counts": counts, "link": link}
    environment.filters.update(shared)
    return environment
