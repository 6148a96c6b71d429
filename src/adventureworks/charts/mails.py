"""Charts for mails."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from adventureworks.charts.monthly import frame, money_axis
from adventureworks.charts.theme import Spec
from adventureworks.dictionary import label
from adventureworks.texts import Language
from adventureworks.texts.terms import channel_name


def daily_revenue(rows: Sequence[tuple[date, str, Decimal]], language: Language) -> Spec:
    """Return a chart of daily revenue in USD, stacked by channel. `rows`: day, channel, revenue."""
    names = {channel: channel_name(channel, language) for channel in ("online", "reseller")}
    values = [
        {"day": day.isoformat(), "channel": names[channel], "revenue": float(revenue)} for day, channel, revenue in rows
    ]
    return {
        **frame(language, 580, 160),
        "data": {"values": values},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {
                "field": "day",
                "type": "temporal",
                "timeUnit": "yearmonthdate",
                "title": None,
                "axis": {"format": "%-d/%-m" if language.code == "fr" else "%-m/%-d", "tickCount": 8},
            },
            "y": {
                "field": "revenue",
                "type": "quantitative",
                "title": label("revenue", language),
                "axis": money_axis(language),
            },
            "color": {"field": "channel", "type": "nominal", "sort": list(names.values())},
        },
    }
