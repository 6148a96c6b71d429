"""Rendering of charts as images, without a browser, in the project's own font."""

from __future__ import annotations

from functools import lru_cache

from adventureworks.charts.glyphs import displayable
from adventureworks.charts.theme import FONTS, Spec
from adventureworks.texts.plain import map_texts

_VEGA_LITE = "6.4"


def svg(spec: Spec) -> str:
    """Return the chart as an SVG document."""
    _register_fonts()
    import vl_convert

    return str(vl_convert.vegalite_to_svg(map_texts(spec, displayable), vl_version=_VEGA_LITE))


def png(spec: Spec, scale: float = 2) -> bytes:
    """Return the chart as a PNG image; `scale` 2 is sharp on any screen."""
    _register_fonts()
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(map_texts(spec, displayable), vl_version=_VEGA_LITE, scale=scale))


@lru_cache(maxsize=1)
def _register_fonts() -> None:
    import vl_convert

    vl_convert.register_font_directory(str(FONTS))
