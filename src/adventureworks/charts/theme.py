"""The common appearance of all charts: on paper, in mails and on the dashboard, in light and dark mode."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

Spec = dict[str, Any]
"""A Vega-Lite specification."""

Scheme = Literal["light", "dark"]

FONT = "Inter"
FONTS = Path(str(files("adventureworks"))) / "fonts"
"""The folder with the font of reports and charts."""

# Chosen to be distinguishable by colour-blind people, with a contrast of 3:1 to the background.
_COLOURS: Mapping[Scheme, Mapping[str, str]] = {
    "light": {
        "ink": "#1f2328",
        "quiet": "#59636e",
        "line": "#d0d7de",
        "page": "#ffffff",
        "main": "#0550ae",
        "second": "#bc4c00",
        "bad": "#b42318",
    },
    "dark": {
        "ink": "#e6edf3",
        "quiet": "#9198a1",
        "line": "#3d444d",
        "page": "#0d1117",
        "main": "#6cb6ff",
        "second": "#f69d50",
        "bad": "#ff8f87",
    },
}
_CATEGORIES: Mapping[Scheme, tuple[str, ...]] = {
    "light": ("#0550ae", "#bc4c00", "#1a7f37", "#8250df", "#9a6700", "#57606a"),
    "dark": ("#6cb6ff", "#f69d50", "#57ab5a", "#dcbdfb", "#daaa3f", "#adbac7"),
}


def colour(name: str, scheme: Scheme = "light") -> str:
    """Return the colour with this name: ink, quiet, line, page, main, second or bad."""
    return _COLOURS[scheme][name]


def config(scheme: Scheme = "light") -> Spec:
    """Return the `config` of a Vega-Lite specification."""
    ink, quiet, line = (colour(name, scheme) for name in ("ink", "quiet", "line"))
    return {
        "font": FONT,
        "background": "transparent",
        "view": {"stroke": None},
        "axis": {
            "labelColor": quiet,
            "titleColor": quiet,
            "gridColor": line,
            "domainColor": line,
            "tickColor": line,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": 500,
        },
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False},
        "legend": {"labelColor": ink, "titleColor": quiet, "labelFontSize": 11, "title": None, "orient": "top"},
        "title": {"color": ink, "fontSize": 13, "fontWeight": 600, "anchor": "start"},
        "text": {"color": ink},
        "range": {"category": list(_CATEGORIES[scheme])},
        "mark": {"color": colour("main", scheme)},
    }
