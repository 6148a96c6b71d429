"""Rewrite the generated part of every page."""

from __future__ import annotations

from adventureworks.reference import PAGES, rewritten

for page in PAGES:
    page.write_text(rewritten(page), encoding="utf-8")
