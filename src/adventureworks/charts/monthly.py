"""Charts of the monthly report."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from adventureworks.charts.theme import Scheme, Spec, colour, config
from adventureworks.dictionary import label
from adventureworks.texts import Language

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"

Named = tuple[str, Decimal]


def columns_and_line(
    rows: Sequence[tuple[str, Decimal, Decimal, bool]],
    language: Language,
    *,
    width: int = 480,
    height: int = 170,
    scheme: Scheme = "light",
) -> Spec:
    """Return a chart of monthly revenue as columns and gross profit as a line.

    `rows` contain the month's name, revenue and profit in USD, and whether the month is partial (shown in a paler
    colour).
    """
    revenue, profit = label("revenue", language), label("profit", language)
    values = [
        {"month": month, "revenue": float(earned), "profit": float(gained), "partial": partial}
        for month, earned, gained, partial in rows
    ]
    x = {
        "field": "month",
        "type": "ordinal",
        "sort": None,
        "title": None,
        "axis": {"labelAngle": 0, "labelExpr": "split(datum.label, ' ')"},
    }
    scale = {"domain": [revenue, profit], "range": [colour("main", scheme), colour("second", scheme)]}
    return {
        **frame(language, width, height, scheme),
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "bar", "width": {"band": 0.7}},
                "encoding": {
                    "x": x,
                    "y": {"field": "revenue", "type": "quantitative", "title": None, "axis": money_axis()},
                    "color": {"datum": revenue, "type": "nominal", "scale": scale},
                    "opacity": {"condition": {"test": "datum.partial", "value": 0.4}, "value": 1},
                },
            },
            {
                "mark": {"type": "line", "point": {"filled": True, "size": 26}, "strokeWidth": 2},
                "encoding": {
                    "x": x,
                    "y": {"field": "profit", "type": "quantitative"},
                    "color": {"datum": profit, "type": "nominal", "scale": scale},
                },
            },
        ],
    }


def bars(
    rows: Sequence[Named], language: Language, *, width: int = 200, step: int = 18, scheme: Scheme = "light"
) -> Spec:
    """Return a chart with one bar per name, in the given order, labelled in USD; losses have another colour."""
    values = [
        {"name": name, "amount": float(amount), "label": language.short_money(amount), "loss": amount < 0}
        for name, amount in rows
    ]
    y = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 150, "ticks": False}}
    x = {"field": "amount", "type": "quantitative", "title": None, "axis": None}
    paint = {"condition": {"test": "datum.loss", "value": colour("bad", scheme)}, "value": colour("main", scheme)}
    return {
        **frame(language, width, {"step": step}, scheme),
        "data": {"values": values},
        "encoding": {"y": y, "x": x},
        "layer": [
            {"mark": {"type": "bar", "height": {"band": 0.7}}, "encoding": {"color": paint}},
            {
                "mark": {"type": "text", "align": "left", "dx": 4, "fontSize": 10},
                "encoding": {
                    "text": {"field": "label"},
                    "x": {"field": "place", "type": "quantitative"},
                },
                "transform": [{"calculate": "max(datum.amount, 0)", "as": "place"}],
            },
        ],
    }


def frame(language: Language, width: int, height: object, scheme: Scheme = "light") -> Spec:
    """Return what all charts have in common: size in pixels, theme, language."""
    return {
        "$schema": SCHEMA,
        "width": width,
        "height": height,
        "config": {**config(scheme), "locale": language.vega_locale()},
    }


def money_axis() -> Spec:
    """Return the settings of an axis with US dollars in short form."""
    return {"format": "$.2~s", "tickCount": 4}
