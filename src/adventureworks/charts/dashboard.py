"""Charts that are only shown on the dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from adventureworks.charts.monthly import frame, money_axis
from adventureworks.charts.theme import Scheme, Spec, colour
from adventureworks.dictionary import label
from adventureworks.texts import Language

SPARK_WIDTH, SPARK_HEIGHT = 120, 28

Forecast = tuple[date, Decimal, Decimal | None, Decimal | None, Decimal | None, Decimal | None]
"""Month, forecast, then lower and upper bounds of the 80 % and the 95 % interval; None: too few backtests."""

_OPACITY = {95: 0.15, 80: 0.25}


def forecast(
    past: Sequence[tuple[date, Decimal]], ahead: Sequence[Forecast], language: Language, scheme: Scheme = "light"
) -> Spec:
    """Return a chart of past monthly revenue in USD and of the forecast with both intervals."""
    known, expected = label("revenue", language), label("forecast", language)
    scale = {"domain": [known, expected], "range": [colour("main", scheme), colour("second", scheme)]}
    x = {"field": "month", "type": "temporal", "title": None, "axis": {"format": "%m/%y", "tickCount": 8}}
    history: list[dict[str, Any]] = [{"month": month.isoformat(), "revenue": float(revenue)} for month, revenue in past]
    fields = ("forecast", "lower_80", "upper_80", "lower_95", "upper_95")
    future: list[dict[str, Any]] = [
        {"month": month.isoformat(), **dict(zip(fields, map(_number, figures), strict=True))}
        for month, *figures in ahead
    ]
    # A layer without values has nothing that a screen reader could name.
    levels = [level for level in (95, 80) if any(row[f"lower_{level}"] is not None for row in future)]
    if history and future:
        # The bands start at the last known month.
        last = history[-1]
        future.insert(0, {"month": last["month"], **dict.fromkeys(fields, last["revenue"])})

    def band(level: int) -> Spec:
        return {
            "data": {"values": future},
            "mark": {"type": "area", "opacity": _OPACITY[level], "color": colour("second", scheme)},
            "encoding": {
                "x": x,
                "y": {"field": f"lower_{level}", "type": "quantitative", "title": None, "axis": money_axis(language)},
                "y2": {"field": f"upper_{level}"},
            },
        }

    def line(rows: list[dict[str, Any]], field: str, name: str, dash: list[int]) -> Spec:
        return {
            "data": {"values": rows},
            "mark": {"type": "line", "point": {"size": 24}, "strokeDash": dash},
            "encoding": {
                "x": x,
                "y": {"field": field, "type": "quantitative", "title": None, "axis": money_axis(language)},
                "color": {"datum": name, "type": "nominal", "scale": scale},
            },
        }

    return {
        **frame(language, 0, 280, scheme),
        "width": "container",
        "layer": [
            *map(band, levels),
            line(history, "revenue", known, []),
            *([line(future, "forecast", expected, [4, 3])] if future else []),
        ],
    }


def columns(
    rows: Sequence[tuple[str, Decimal, bool]],
    language: Language,
    *,
    titles: tuple[str, str],
    axis: Spec,
    scheme: Scheme = "light",
) -> Spec:
    """Return a chart with one column per name, in the given order.

    `rows` contain name, amount, and whether it is incomplete (shown in a paler colour). `titles` are those of the names
    and of the amounts, `axis` has the settings of the axis of the amounts.
    """
    values = [{"name": name, "amount": float(amount), "pale": pale} for name, amount, pale in rows]
    dimension, figure = titles
    labels = {"labelAngle": 0, "labelExpr": "split(datum.label, ' ')", "labelOverlap": True}
    return {
        **frame(language, 0, 240, scheme),
        "width": "container",
        "data": {"values": values},
        "mark": {"type": "bar", "width": {"band": 0.7}},
        "encoding": {
            "x": {"field": "name", "type": "ordinal", "sort": None, "title": dimension, "axis": labels},
            "y": {"field": "amount", "type": "quantitative", "title": figure, "axis": axis},
            "opacity": {"condition": {"test": "datum.pale", "value": 0.4}, "value": 1},
        },
    }


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def sparkline(values: Sequence[Decimal | None]) -> str:
    """Return the points of an SVG polyline in a box of `SPARK_WIDTH` by `SPARK_HEIGHT`; gaps are left out."""
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(value for _, value in known), max(value for _, value in known)
    span = high - low or Decimal(1)
    step = Decimal(SPARK_WIDTH - 4) / (len(values) - 1)
    return " ".join(
        f"{float(2 + place * step):.1f},{float(SPARK_HEIGHT - 3 - (value - low) / span * (SPARK_HEIGHT - 6)):.1f}"
        for place, value in known
    )
