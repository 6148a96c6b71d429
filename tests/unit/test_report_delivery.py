"""Delivery of several months of reports: at the same time, and only as long as more are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Barrier

import pytest

from adventureworks.reports import delivery
from adventureworks.reports.delivery import Delivery, Folder, deliver_all
from adventureworks.settings import Settings

MONTHS = [f"2014-{month:02}" for month in range(1, 2 * delivery.THREADS + 1)]


def delivered(key: str) -> Delivery:
    return Delivery(key, "new", 1, False, (), ())


def test_months_do_not_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = Barrier(delivery.THREADS, timeout=30)

    def deliver(settings: Settings, folder: Folder, key: str, run_id: str) -> Delivery:
        others.wait()
        return delivered(key)

    monkeypatch.setattr(delivery, "deliver", deliver)
    done = deliver_all(Settings(), tmp_path, MONTHS, "financial_reporting/x")
    assert sorted(one.month for one in done) == MONTHS


def test_no_month_is_started_after_the_last_wanted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "deliver", lambda settings, folder, key, run_id: delivered(key))
    done: list[str] = []

    def until_one_is_done() -> Iterator[str]:
        for key in MONTHS:
            if done:
                return
            yield key

    for one in deliver_all(Settings(), tmp_path, until_one_is_done(), "financial_reporting/x"):
        done.append(one.month)
    assert sorted(done) == MONTHS[: delivery.THREADS]
