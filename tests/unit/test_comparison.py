"""The comparison with other tools states what this platform really does, where that is a number."""

from adventureworks.dashboard import asset, breakdown, rules
from adventureworks.gate import profile
from adventureworks.messaging import store
from adventureworks.reference import FOLDER
from adventureworks.reports.digests import DIGESTS
from adventureworks.settings import Settings

NUMBERS = {2: "two", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}


def test_the_numbers_of_this_platform_are_those_of_the_code() -> None:
    by_product = sum(breakdown.LEVELS[-1] in kpi.levels for kpi in breakdown.KPIS.values())
    stated = (
        f"{asset.VERSIONS} versions: verdict",
        f"marts of up to {asset.MOST_MEASURED:,} rows",
        f"data of the last {Settings.model_fields['keep_versions'].default} versions",
        f"against the last {NUMBERS[profile.VERSIONS]} versions",
        f"last {rules.RUNS} runs",
        f"{NUMBERS[len(breakdown.KPIS)]} figures by channel and territory, {NUMBERS[by_product]} of them also by",
        f"profit of a month, {NUMBERS[len(DIGESTS)]} digests",
        f"repeated for up to {NUMBERS[store.KEPT_DAYS]} days",
    )
    page = (FOLDER / "comparison.md").read_text(encoding="utf-8")
    assert [one for one in stated if one not in page] == []
