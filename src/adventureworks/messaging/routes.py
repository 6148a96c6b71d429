"""Who is told what, when, and in which language: read from `routes.yaml`, or from a file of your own.

A file of your own need only hold what differs: its parts are laid over those that come with the platform. A name that
is null there (a digest, say) is taken out.
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

from adventureworks.errors import PlatformError
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
        raise ValueError(f"there is no language {code}; there are {', '.join(LANGUAGES)}")
    return code


def _clock(given: object) -> time:
    # YAML reads 20:00 without quotes as a number to the base of sixty: 1200.
    text = f"{given // 60}:{given % 60:02}" if isinstance(given, int) and 60 <= given < 24 * 60 else given
    found = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f'{given!r} is not a time of the day; write it as "HH:MM"')
    return time(int(found[1]), int(found[2]))


Clock = Annotated[time, BeforeValidator(_clock)]
"""A time of the day where a group is, to the minute."""


class Part(BaseModel):
    """A part of the file; a name that it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _emails(given: object) -> object:
    """Each address by itself: a text, or each text of a list, may hold several."""
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
    """People who are told the same; `emails` may be written as one text."""

    emails: Annotated[tuple[str, ...], BeforeValidator(_emails)] = ()
    slack: str = Field(default="", description="Airflow connection of their Slack channel; empty: the platform's.")
    language: Annotated[str, AfterValidator(_language)] = "en"
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"


class QuietHours(Part):
    """From when to when (in the group's time zone) incidents of these severities wait."""

    begin: Clock
    end: Clock
    severities: tuple[Literal["warning", "error"], ...] = ("warning",)


class IncidentRoutes(Part):
    """How owners hear of incidents."""

    owners: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="Owner -> groups; else the same name.")
    most_at_once: int = Field(default=5, ge=1, description="More than this for one recipient become one summary.")
    reminder_at: Clock = Field(default=time(9), description="Every day, in the group's time zone.")
    quiet_hours: QuietHours | None = None


class DigestRoute(Part):
    """Who gets a digest, and when: at this time (of the group's zone), if there is something new."""

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
        """Name and group of those who hear of an owner's incidents."""
        names = self.incidents.owners.get(owner, (owner,))
        return tuple((name, self.groups.get(name, Group(emails=(f"{name}@localhost",)))) for name in names)


def routes(settings: Settings) -> Routes:
    """The routes as configured. Raises PlatformError, which names the place, where the file is wrong."""
    given = yaml.safe_load(files("adventureworks.messaging").joinpath("routes.yaml").read_text(encoding="utf-8"))
    if settings.routes:
        given = _laid_over(given, _read(settings.routes))
    for owner, text in settings.owner_emails.items():
        try:
            given["groups"] = _laid_over(given["groups"], {owner: {"emails": list(addresses(text))}})
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
        said = first["msg"].removeprefix("Value error, ")
        raise PlatformError(f"The routes are wrong at {place}: {said}.", _correct(settings)) from None
    if found._unknown:
        raise PlatformError(
            f"The routes name groups that are not defined: {', '.join(sorted(found._unknown))}.", _correct(settings)
        )
    return found


def last_time(at: time, zone: str, now: datetime) -> datetime:
    """When it was this time of the day last in a zone, up to `now`."""
    local = now.astimezone(ZoneInfo(zone))
    today = local.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return today if today <= local else today - timedelta(days=1)


def last_moment(route: DigestRoute, zone: str, now: datetime) -> datetime:
    """The last time at which a digest was due, up to `now`."""
    local = now.astimezone(ZoneInfo(zone))
    due = local.replace(hour=route.at.hour, minute=route.at.minute, second=0, microsecond=0)
    if route.every == "week":
        due -= timedelta(days=(due.weekday() - DAYS.index(route.weekday)) % 7)
    return due if due <= local else due - timedelta(days=7 if route.every == "week" else 1)


def not_before(quiet: QuietHours | None, severity: str, zone: str, now: datetime) -> datetime | None:
    """When the quiet hours that hold back this severity end; None if it may be told now."""
    if quiet is None or severity not in quiet.severities:
        return None
    local = now.astimezone(ZoneInfo(zone))
    clock = local.time().replace(tzinfo=None)
    over_midnight = quiet.begin > quiet.end
    within = (clock >= quiet.begin or clock < quiet.end) if over_midnight else quiet.begin <= clock < quiet.end
    if not within:
        return None
    end = local.replace(hour=quiet.end.hour, minute=quiet.end.minute, second=0, microsecond=0)
    return end if end > local else end + timedelta(days=1)


def _read(file: Path) -> dict[str, Any]:
    choices = f"Correct it, or unset {SETTING}."
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlatformError(f"The routes {file} cannot be read: {error.strerror}.", choices) from None
    except yaml.YAMLError as error:
        place = str(getattr(error, "problem_mark", "")).strip()
        raise PlatformError(f"The routes {file} are not YAML: {place}.", choices) from None
    if given is not None and not isinstance(given, dict):
        raise PlatformError(f"The routes {file} are not a map of names.", choices)
    return given or {}


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Maps are merged name by name, a name that is null is taken out, anything else is replaced."""
    merged = dict(below)
    for name, value in above.items():
        known = merged.get(name)
        merged[name] = _laid_over(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return {name: value for name, value in merged.items() if value is not None}


def _correct(settings: Settings) -> str:
    return (
        f"Correct {settings.routes}, then: adventureworks doctor"
        if settings.routes
        else "Correct ADVENTUREWORKS_OWNER_EMAILS, then: adventureworks doctor"
    )
