"""The state of a table or mart in words: the same on every page and on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from adventureworks.texts import Language
from adventureworks.texts.terms import verdict_name
from adventureworks.warehouse.intervention import Intervention
from adventureworks.warehouse.publication import NOT_OFFERED
from adventureworks.warehouse.state import AssetState

Severity = Literal["good", "mind", "bad"]

URGENCY: Mapping[Severity, int] = {"good": 0, "mind": 1, "bad": 2}


@dataclass(frozen=True)
class Remark:
    """Something about the state of a table or mart that concerns its readers."""

    severity: Severity
    text: str
    detail: str = ""
    """Why, or which tables."""

    def __str__(self) -> str:
        return f"{self.text} ({self.detail})" if self.detail else self.text


def remarks(state: AssetState, language: Language) -> list[Remark]:
    """Return what readers of a table or mart should know, the most important first; nothing if all is well."""
    text = language.text
    found = []
    if state.lacks:
        found.append(Remark("mind", text("needs what the source does not offer"), ", ".join(state.lacks)))
    elif state.verdict in ("blocked", "never published"):
        found.append(Remark("bad", verdict_name(state.verdict, language)))
    elif state.verdict == NOT_OFFERED:
        found.append(Remark("mind", verdict_name(state.verdict, language)))
    if state.rolled_back:
        found.append(
            Remark("mind", text("rolled back"), rollback_in_words(state.rolled_back, state.withheld_since, language))
        )
    elif state.version and state.behind:
        found.append(Remark("mind", text("out of date"), state.behind.shown(language)))
    if state.reads_blocked:
        found.append(Remark("mind", text("reads blocked tables"), ", ".join(state.reads_blocked)))
    if state.absent_columns:
        columns = ", ".join(state.absent_columns)
        found.append(Remark("good", text("without columns that the source does not offer"), columns))
    return found


def condition(state: AssetState, language: Language) -> tuple[Severity, str]:
    """Return how serious the state of a table or mart is, and the state in words: its verdict, then the remarks."""
    found = remarks(state, language)
    own: Severity = "mind" if "warning" in state.verdict else "good"
    severity = max((own, *(remark.severity for remark in found)), key=URGENCY.__getitem__)
    return severity, _joined(state, (remark.text for remark in found), language)


def in_detail(state: AssetState, language: Language) -> str:
    """Return the state of a table or mart in the words of `condition`, with reasons and names of tables."""
    return _joined(state, map(str, remarks(state, language)), language)


def worst(states: Iterable[AssetState], language: Language) -> Remark | None:
    """Return the most serious remark on any of these tables and marts; None if all is well."""
    found = [remark for state in states for remark in remarks(state, language)]
    return max(found, key=lambda remark: URGENCY[remark.severity], default=None)


def rollback_in_words(found: Intervention, withheld_since: datetime | None, language: Language) -> str:
    """Return who rolled an asset back, to which version and why, and which change at the source is not published."""
    said = language.text(
        "{asset} was rolled back to version {version} by {who}: {reason}",
        asset=found.asset,
        version=found.version,
        who=found.who,
        reason=found.reason or "-",
    )
    if withheld_since is None:
        return said
    return language.text(
        "{rollback}; the change at the source that was detected on {moment} is published after the release",
        rollback=said,
        moment=language.moment(withheld_since),
    )


def _joined(state: AssetState, words: Iterable[str], language: Language) -> str:
    return ", ".join(dict.fromkeys((verdict_name(state.verdict, language), *words)))
