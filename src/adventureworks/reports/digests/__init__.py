"""The digests that people get by mail: each module words one of them as a `Bulletin`, from the published marts.

`bulletin` makes a letter of it, `DIGESTS` names them all. Who gets which, and when, is a matter of the routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module

from adventureworks.errors import PlatformError
from adventureworks.messaging import RenderedMessage
from adventureworks.messaging.bulletin import Bulletin, render
from adventureworks.texts import Language
from adventureworks.warehouse.postgres import Connection


@dataclass(frozen=True)
class Digest:
    """One digest: the mart whose new version makes it due, and the module that words it."""

    mart: str
    module: str

    def bulletin(self, connection: Connection, language: Language) -> Bulletin | None:
        """What it says now; None where there is nothing to tell."""
        found: Bulletin | None = import_module(self.module).bulletin(connection, language)
        return found

    def message(self, connection: Connection, language: Language, ui_url: str = "") -> RenderedMessage | None:
        """The same, ready to be sent."""
        found = self.bulletin(connection, language)
        return render(found, language, ui_url) if found else None


DIGESTS: Mapping[str, Digest] = {
    "daily_sales": Digest("daily_sales", f"{__name__}.daily_sales"),
    "low_stock": Digest("inventory_status", f"{__name__}.low_stock"),
    "data_quality": Digest("data_quality", f"{__name__}.data_quality"),
    "customer_value": Digest("customer_value", f"{__name__}.customer_value"),
}


def digest_called(name: str) -> Digest:
    """The digest of this name. Raises PlatformError if there is none."""
    check_names([name])
    return DIGESTS[name]


def check_names(names: Iterable[str]) -> None:
    """Raises PlatformError if routes name a digest that there is not."""
    unknown = sorted(set(names) - set(DIGESTS))
    if unknown:
        raise PlatformError(
            f"The routes name a digest that there is not: {', '.join(unknown)}. There are {', '.join(DIGESTS)}.",
            "Correct the file that ADVENTUREWORKS_ROUTES names, then: adventureworks doctor",
        )
