"""What depends on the asset of an incident, in words: marts, and the reports, digests and pages with their recipients.

It is derived from the catalogue whenever an incident is shown, and not stored with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from adventureworks.catalog.readers import Reader, dependants_of
from adventureworks.messaging.routes import Routes
from adventureworks.texts import Language
from adventureworks.texts.analyses import analysis_name

MOST = 4
"""The number of names in a list; longer ones end with how many more there are."""


def affected(asset: str, language: Language, routes: Routes | None = None, most: int = MOST) -> dict[str, str]:
    """Return the marts and the readers that depend on an asset or DAG, by heading; empty if nothing does.

    `routes`: names the groups that receive a report or digest; None leaves them out.
    """
    found = dependants_of(asset)
    readers = [reader_name(reader, language, routes) for reader in found.readers]
    lists = {language.text("Marts that depend on it"): found.marts, language.text("Read in"): readers}
    return {heading: shortened(names, language, most) for heading, names in lists.items() if names}


def shortened(names: Sequence[str], language: Language, most: int = MOST) -> str:
    """Return at most this many names, and how many more there are."""
    shown = ", ".join(names[:most])
    more = len(names) - most
    return language.text("{names} and {count} more", names=shown, count=language.number(more)) if more > 0 else shown


def reader_name(reader: Reader, language: Language, routes: Routes | None = None) -> str:
    """Return the name of a report, digest or page. `routes`: see `affected`."""
    text = language.text
    if reader.kind == "page":
        pages = {
            "overview": text("Overview"),
            "figure": text("Breakdown of figures"),
            "forecast": text("Forecast"),
            "quality": text("Freshness and quality"),
            "search": text("Search"),
        }
        return text("dashboard: {page}", page=pages.get(reader.name) or analysis_name(reader.name, language))
    name = text("monthly report") if reader.kind == "report" else text("digest {name}", name=reader.name)
    groups = recipients_of(reader, routes) if routes else ()
    return f"{name} ({', '.join(groups)})" if groups else name


def recipients_of(reader: Reader, routes: Routes) -> tuple[str, ...]:
    """Return the groups that receive a report or digest; none for a page, which users open."""
    if reader.kind == "report":
        return routes.monthly_report
    route = routes.digests.get(reader.name) if reader.kind == "digest" else None
    return route.to if route else ()
