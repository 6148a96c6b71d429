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
        "title": label("month", language),
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
                    "y": {
                        "field": "revenue",
                        "type": "quantitative",
                        "title": f"{revenue}, {profit}",
                        "axis": money_axis(language),
                    },
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
    rows: Sequence[Named],
    language: Language,
    *,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    width: int = 200,
    step: int = 18,
    scheme: Scheme = "light",
) -> Spec:
    """Return a chart with one bar per name, in the given order; losses have another colour.

    `labels` are the amounts as texts; None: they are in USD. `title` is that of the axis of the amounts, for charts
    without a heading of their own.
    """
    shown = labels if labels is not None else [language.short_money(amount) for _, amount in rows]
    values = [
        {"name": name, "amount": float(amount), "label": text, "loss": amount < 0}
        for (name, amount), text in zip(rows, shown, strict=True)
    ]
    y = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 150, "ticks": False}}
    # The bars have labels, so that the axis needs none.
    axis = {"labels": False, "ticks": False, "grid": False} if title else None
    x = {"field": "amount", "type": "quantitative", "title": title, "axis": axis}
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


def money_axis(language: Language) -> Spec:
    """Return the settings of an axis with US dollars in short form, written as `Language.short_money` does."""
    sample = language.money(1)
    symbol = sample.replace("1", "").strip()

    def amount(divisor: int, unit: str) -> str:
        number = f"format(datum.value / {divisor}, '$,.2~f')"
        # The unit follows the number, wherever the language puts the currency symbol.
        if sample.startswith(symbol):
            return f"{number} + '{unit}'"
        return f"replace({number}, '{symbol}', '{unit}{symbol}')"

    size = "abs(datum.value)"
    shown = f"{size} >= 1e6 ? {amount(1_000_000, 'M')} : {size} >= 1e3 ? {amount(1_000, 'k')} : {amount(1, '')}"
    return {"labelExpr": shown, "tickCount": 4}
