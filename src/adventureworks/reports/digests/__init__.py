"""The digests sent by mail: each module creates one as a `Bulletin`, from the published marts.

`DIGESTS` lists them all. The routes define who receives which digest and when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module

from adventureworks.errors import PlatformError, Step
from adventureworks.messaging import RenderedMessage
from adventureworks.messaging.bulletin import Bulletin, render
from adventureworks.texts import Language
from adventureworks.warehouse.session import Session


@dataclass(frozen=True)
class Digest:
    """A digest: the mart whose new version makes it due, and the module that creates it."""

    mart: str
    module: str

    def bulletin(self, session: Session, language: Language) -> Bulletin | None:
        """Return its current content, or None if there is nothing to report."""
        found: Bulletin | None = import_module(self.module).bulletin(session, language)
        return found

    def message(self, session: Session, language: Language, ui_url: str = "") -> RenderedMessage | None:
        """Return its current content as a rendered message, or None if there is nothing to report."""
        found = self.bulletin(session, language)
        return render(found, language, ui_url) if found else None


DIGESTS: Mapping[str, Digest] = {
    "daily_sales": Digest("daily_sales", f"{__name__}.daily_sales"),
    "low_stock": Digest("inventory_status", f"{__name__}.low_stock"),
    "late_work_orders": Digest("late_work_orders", f"{__name__}.late_work_orders"),
    "quota_pace": Digest("quota_pace", f"{__name__}.quota_pace"),
    "product_affinity": Digest("product_affinity", f"{__name__}.product_affinity"),
    "data_quality": Digest("data_quality", f"{__name__}.data_quality"),
    "customer_value": Digest("customer_value", f"{__name__}.customer_value"),
}


def digest_named(name: str) -> Digest:
    """Return the digest with this name. Raises PlatformError if there is none."""
    check_names([name])
    return DIGESTS[name]


def check_names(names: Iterable[str]) -> None:
    """Raise PlatformError if the routes name an unknown digest."""
    unknown = sorted(set(names) - set(DIGESTS))
    if unknown:
        raise PlatformError(
            f"The routes name an unknown digest: {', '.join(unknown)}. Known digests: {', '.join(DIGESTS)}.",
            Step("Correct the file that ADVENTUREWORKS_ROUTES names, then:", "adventureworks doctor"),
        )
