"""The charts of a month's report."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from adventureworks.charts.theme import Scheme, Spec, colour, config
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
    """Revenue as columns and profit as a line, month by month.

    `rows` hold the month's name, revenue and profit in USD, and whether the month is partial: then its column is pale.
    """
    revenue, profit = language.text("Revenue"), language.text("Gross profit")
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
    names = {"domain": [revenue, profit], "range": [colour("main", scheme), colour("second", scheme)]}
    return {
        **frame(language, width, height, scheme),
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "bar", "width": {"band": 0.7}},
                "encoding": {
                    "x": x,
                    "y": {"field": "revenue", "type": "quantitative", "title": None, "axis": money_axis()},
                    "color": {"datum": revenue, "type": "nominal", "scale": names},
                    "opacity": {"condition": {"test": "datum.partial", "value": 0.4}, "value": 1},
                },
            },
            {
                "mark": {"type": "line", "point": {"filled": True, "size": 26}, "strokeWidth": 2},
                "encoding": {
                    "x": x,
                    "y": {"field": "profit", "type": "quantitative"},
                    "color": {"datum": profit, "type": "nominal", "scale": names},
                },
            },
        ],
    }


def bars(
    rows: Sequence[Named], language: Language, *, width: int = 200, step: int = 18, scheme: Scheme = "light"
) -> Spec:
    """One bar for each name, in the order given, with its amount in USD beside it; losses in another colour."""
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
    """What every chart has: its size in pixels, its look, its language."""
    return {
        "$schema": SCHEMA,
        "width": width,
        "height": height,
        "config": {**config(scheme), "locale": language.vega_locale()},
    }


def money_axis() -> Spec:
    """An axis of US dollars in short form."""
    return {"format": "$.2~s", "tickCount": 4}
