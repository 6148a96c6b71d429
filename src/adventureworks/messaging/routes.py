"""Who receives which messages, when, and in which language: read from `routes.yaml` and an optional custom file.

A custom file only needs the differences: it is merged into the defaults. A name that is null there (a digest, for
example) is removed.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from adventureworks.errors import PlatformError, Step
from adventureworks.messaging.addresses import addresses
from adventureworks.settings import Settings
from adventureworks.texts import LANGUAGES

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SETTING = "ADVENTUREWORKS_ROUTES"
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"there is no time zone {name}") from None
    return name


def _language(code: str) -> str:
    if code not in LANGUAGES:
        raise ValueError(f"there is no language {code}; choose from {', '.join(LANGUAGES)}")
    return code


def _clock(given: object) -> time:
    # YAML reads an unquoted 20:00 as a base-60 number: 1200.
    text = f"{given // 60}:{given % 60:02}" if isinstance(given, int) and 60 <= given < 24 * 60 else given
    found = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f'{given!r} is not a time of day; write it as "HH:MM"')
    return time(int(found[1]), int(found[2]))


Clock = Annotated[time, BeforeValidator(_clock)]
"""A time of day in a group's time zone, to the minute."""


class Part(BaseModel):
    """A section of the file; unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _emails(given: object) -> object:
    """Split a string, or each string of a list, into separate addresses."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, (list, tuple)):
        return given
    found: dict[str, None] = {}
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"{text!r} is not a mail address")
        found.update(dict.fromkeys(addresses(text)))
    return tuple(found)


class Group(Part):
    """People who receive the same messages; `emails` may be written as one string."""

    emails: Annotated[tuple[str, ...], BeforeValidator(_emails)] = ()
    slack: str = Field(default="", description="Airflow connection of their Slack channel; default: the platform's.")
    language: Annotated[str, AfterValidator(_language)] = "en"
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    operators: bool = Field(
        default=False, description="Whether its messages about incidents contain shell commands and names of rules."
    )


class QuietHours(Part):
    """The period (in the group's time zone) during which messages about incidents of these severities are held."""

    begin: Clock
    end: Clock
    severities: tuple[Literal["warning", "error"], ...] = ("warning",)


class IncidentRoutes(Part):
    """How owners are notified of incidents."""

    owners: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Owner -> groups; default: the group with the owner's name."
    )
    most_at_once: int = Field(default=5, ge=1, description="More than this for one recipient become one summary.")
    reminder_at: Clock = Field(default=time(9), description="Every day, in the group's time zone.")
    quiet_hours: QuietHours | None = None


class DigestRoute(Part):
    """The recipients of a digest and its schedule (in the group's time zone); sent only if there is new data."""

    to: tuple[str, ...]
    every: Literal["day", "week"] = "day"
    weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = "monday"
    at: Clock = time(6)
    slack: bool = False


class Routes(Part):
    """The whole file."""

    groups: dict[str, Group]
    incidents: IncidentRoutes
    digests: dict[str, DigestRoute]
    monthly_report: tuple[str, ...]

    @cached_property
    def _unknown(self) -> set[str]:
        named = {*self.monthly_report}
        named.update(*self.incidents.owners.values(), *(route.to for route in self.digests.values()))
        return named - set(self.groups)

    def groups_of(self, owner: str) -> tuple[tuple[str, Group], ...]:
        """Return name and group of the groups notified of an owner's incidents."""
        names = self.incidents.owners.get(owner, (owner,))
        return tuple((name, self.groups.get(name, Group(emails=(f"{name}@localhost",)))) for name in names)


def routes(settings: Settings) -> Routes:
    """Return the configured routes. Raises PlatformError, which names the wrong entry, if they are invalid."""
    given = yaml.safe_load(files("adventureworks.messaging").joinpath("routes.yaml").read_text(encoding="utf-8"))
    if settings.routes:
        own = _read(settings.routes)
        groups = _merged(given["groups"], own.get("groups") or {})
        # The default digests go to the groups that are left. A custom file that names a digest also lists its groups.
        left = {name: [group for group in digest["to"] if group in groups] for name, digest in given["digests"].items()}
        given["digests"] = {name: {**given["digests"][name], "to": to} for name, to in left.items() if to}
        given = _merged(given, own)
    for owner, text in settings.owner_emails.items():
        try:
            given["groups"] = _merged(given["groups"], {owner: {"emails": list(addresses(text))}})
        except ValueError as error:
            raise PlatformError(
                f"ADVENTUREWORKS_OWNER_EMAILS is wrong at {owner}: {error}.",
                'Write it as {"sales": "ann@example.com, ben@example.com"}.',
            ) from None
    try:
        found = Routes.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise PlatformError(f"The routes are wrong at {place}: {reason}.", _how_to_correct(settings)) from None
    if found._unknown:
        raise PlatformError(
            f"The routes name groups that are not defined: {', '.join(sorted(found._unknown))}.",
            _how_to_correct(settings),
        )
    return found


def routes_if_valid(settings: Settings) -> Routes | None:
    """Return the configured routes, or None if they are invalid, which `doctor` reports."""
    try:
        return routes(settings)
    except PlatformError:
        return None


def last_time(at: time, zone: str, now: datetime) -> datetime:
    """Return the last time, up to `now`, at which it was this time of day in a time zone."""
    local = now.astimezone(ZoneInfo(zone))
    today = local.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return today if today <= local else today - timedelta(days=1)


def last_due(route: DigestRoute, zone: str, now: datetime) -> datetime:
    """Return the last time, up to `now`, at which a digest was due."""
    local = now.astimezone(ZoneInfo(zone))
    due = local.replace(hour=route.at.hour, minute=route.at.minute, second=0, microsecond=0)
    if route.every == "week":
        due -= timedelta(days=(due.weekday() - DAYS.index(route.weekday)) % 7)
    return due if due <= local else due - timedelta(days=7 if route.every == "week" else 1)


def not_before(quiet: QuietHours | None, severity: str, zone: str, now: datetime) -> datetime | None:
    """Return when the quiet hours for this severity end, or None if a message can be sent now."""
    if quiet is None or severity not in quiet.severities:
        return None
    local = now.astimezone(ZoneInfo(zone))
    clock = local.time().replace(tzinfo=None)
    spans_midnight = quiet.begin > quiet.end
    within = (clock >= quiet.begin or clock < quiet.end) if spans_midnight else quiet.begin <= clock < quiet.end
    if not within:
        return None
    end = local.replace(hour=quiet.end.hour, minute=quiet.end.minute, second=0, microsecond=0)
    return end if end > local else end + timedelta(days=1)


def _read(file: Path) -> dict[str, Any]:
    choices = f"Correct it, or unset {SETTING}."
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlatformError(f"The routes file {file} cannot be read: {error.strerror}.", choices) from None
    except yaml.YAMLError as error:
        place = str(getattr(error, "problem_mark", "")).strip()
        raise PlatformError(f"The routes file {file} is not YAML: {place}.", choices) from None
    if given is not None and not isinstance(given, dict):
        raise PlatformError(f"The routes file {file} does not contain a YAML mapping.", choices)
    return given or {}


def _merged(defaults: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Merge mappings recursively; null removes a name, any other value replaces it."""
    merged = dict(defaults)
    for name, value in overrides.items():
        known = merged.get(name)
        merged[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return {name: value for name, value in merged.items() if value is not None}


def _how_to_correct(settings: Settings) -> Step:
    return Step(f"Correct {settings.routes or 'ADVENTUREWORKS_OWNER_EMAILS'}, then:", "adventureworks doctor")
