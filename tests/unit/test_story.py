"""The story of a month: which sentences its figures lead to, in both languages."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from adventureworks.months import shifted
from adventureworks.reports.bridge import Bridge
from adventureworks.reports.month import Amounts, Line, Month
from adventureworks.reports.story import story
from adventureworks.texts import language

MAY = date(2014, 5, 1)
Sold = tuple[int, int]
"""Revenue and gross profit in thousands of USD."""


def amounts(sold: Sold) -> Amounts:
    revenue, profit = (Decimal(1000 * figure) for figure in sold)
    return Amounts(revenue, Decimal(0), revenue - profit, Decimal(0))


def line(name: str, now: Sold, before: Sold | None, year_before: Sold | None) -> Line:
    return Line(
        name,
        "",
        amounts(now),
        amounts(before) if before else None,
        amounts(year_before) if year_before else None,
        amounts(now),
    )


def added(*sold: Sold | None) -> Sold | None:
    known = [one for one in sold if one]
    return (sum(one[0] for one in known), sum(one[1] for one in known)) if known else None


def month(
    online: tuple[Sold | None, ...],
    reseller: tuple[Sold | None, ...] = (),
    *,
    as_of: date = date(2014, 6, 30),
    bridge: tuple[Bridge, ...] = (),
) -> Month:
    """Return a month from what each channel sold now, in the month before and in the year before."""
    given = {name: (*sold, None, None)[:3] for name, sold in (("online", online), ("reseller", reseller)) if sold}
    lines = [line(name, now or (0, 0), before, year_before) for name, (now, before, year_before) in given.items()]
    now, before, year_before = (added(*sold) for sold in zip(*given.values(), strict=True))
    is_over = as_of >= shifted(MAY, 1)
    return Month(
        month=MAY,
        is_partial=False,
        fiscal_year=2014,
        as_of=as_of,
        version=1,
        total=line("", now or (0, 0), before if is_over else None, year_before if is_over else None),
        regions=(),
        categories=(),
        products=(),
        channels=tuple(sorted(lines, key=lambda line: -line.now.revenue)),
        bridge=bridge,
        sales=(),
        history=(),
        control_total=None,
        sources=(),
    )


def effects(channel: str, *changes: int) -> Bridge:
    """Return a bridge from volume, mix, price, cost, new and gone products, in thousands of USD."""
    found = tuple(Decimal(1000 * change) for change in changes)
    return Bridge(channel, "Bikes", Decimal(0), found, sum(found, Decimal(0)))


def said(found: Month, code: str = "en") -> list[str]:
    return [" ".join(sentence.split()) for sentence in story(found, language(code))]


MAY_2014 = month(
    ((1951, 807), (1796, 746), (578, 245)),
    ((3415, -15), (1, 0), (2667, -181)),
    bridge=(effects("online", 206, -25, 85, -56, 411, -58),),
)


def test_a_fall_by_the_mix_of_channels_is_explained_with_the_loss_and_the_bridge() -> None:
    assert said(MAY_2014) == [
        "The margin fell by 26.8 points, from 41.5% in April 2014 to 14.8%, because resellers accounted for 63.6% of"
        " revenue, up from 0.1%.",
        "Sales to resellers came to $3.4M, at a loss of $15.0k; sales to online customers came to $2.0M, at a margin"
        " of 41.4%.",
        "By booking month, gross profit on sales to online customers rose by $563k from May 2013: mainly new products"
        " (+$411k), higher volume (+$206k), higher prices (+$85.0k).",
    ]
    assert said(MAY_2014, "fr") == [
        "Le taux de marge a perdu 26,8 points, de 41,5 % en avril 2014 à 14,8 %, parce que les revendeurs ont"
        " représenté 63,6 % du chiffre d’affaires, contre 0,1 %.",
        "Les ventes aux revendeurs ont atteint 3,4 M$US, avec une perte de 15,0 k$US ; les ventes aux clients en ligne"
        " ont atteint 2,0 M$US, avec un taux de marge de 41,4 %.",
        "Par mois de rattachement, la marge brute des ventes aux clients en ligne a augmenté de 563 k$US par rapport à"
        " mai 2013 : surtout nouveaux produits (+411 k$US), hausse des volumes (+206 k$US), hausse des prix"
        " (+85,0 k$US).",
    ]


@pytest.mark.parametrize(
    ("found", "first"),
    [
        (
            month(((1000, 400), (1000, 400)), ((2000, -200), (2000, 100))),
            "The margin fell by 10.0 points, from 16.7% in April 2014 to 6.7%, because the margin on sales to resellers"
            " fell from 5.0% to -10.0%.",
        ),
        (
            month(((1000, 450), (1000, 400)), ((2000, 100), (2000, 100))),
            "The margin rose by 1.7 points, from 16.7% in April 2014 to 18.3%, because the margin on sales to online"
            " customers rose from 40.0% to 45.0%.",
        ),
        (
            month(((1000, 400), (1000, 400)), (None, (3000, 0))),
            "The margin rose by 30.0 points, from 10.0% in April 2014 to 40.0%, because resellers did not order, after"
            " accounting for 75.0% of revenue.",
        ),
        (
            month(((1000, 400), (1000, 400)), ((3000, 0), (0, 0))),
            "The margin fell by 30.0 points, from 40.0% in April 2014 to 10.0%, because resellers, who had not ordered,"
            " accounted for 75.0% of revenue.",
        ),
        (
            month(((1000, 400), None, (1000, 300))),
            "The margin rose by 10.0 points, from 30.0% in May 2013 to 40.0%.",
        ),
        (
            month(((1000, -100), (1000, -300))),
            "The margin rose by 20.0 points, from -30.0% in April 2014 to -10.0%.",
        ),
        (
            month(((1000, 400), (2000, 800)), ((2000, 100), (4000, 200))),
            "The margin hardly changed: it was 16.7%, after 16.7% in April 2014.",
        ),
        (
            month(((1000, 400),), ((2000, 100),)),
            "In May 2014, the margin was 16.7%; there is no complete earlier month to compare it with.",
        ),
        (
            month(((1000, 400), (0, 0))),
            "In May 2014, the margin was 40.0%; there is no complete earlier month to compare it with.",
        ),
    ],
    ids=[
        "own margin fell", "own margin rose", "channel ended", "channel is new", "only the year before", "one channel",
        "unchanged", "no earlier month", "nothing sold before",
    ],
)  # fmt: skip
def test_the_margin_is_compared_and_its_main_cause_is_named(found: Month, first: str) -> None:
    assert said(found)[0] == first


@pytest.mark.parametrize(
    ("found", "first"),
    [
        (
            month(((1000, 450), (1000, 400)), ((2000, 100), (2000, 100))),
            "Le taux de marge a gagné 1,7 point, de 16,7 % en avril 2014 à 18,3 %, parce que le taux de marge des"
            " ventes aux clients en ligne est passé de 40,0 % à 45,0 %.",
        ),
        (
            month(((1000, 400), (1000, 400)), (None, (3000, 0))),
            "Le taux de marge a gagné 30,0 points, de 10,0 % en avril 2014 à 40,0 %, parce que les revendeurs n’ont"
            " rien commandé, après avoir représenté 75,0 % du chiffre d’affaires.",
        ),
        (
            month(((1000, 400),), ((2000, 100),)),
            "En mai 2014, le taux de marge est de 16,7 % ; il n’y a pas de mois antérieur complet pour le comparer.",
        ),
    ],
    ids=["rose", "did not order", "no earlier month"],
)
def test_the_margin_is_explained_in_french(found: Month, first: str) -> None:
    assert said(found, "fr")[0] == first


def test_a_channel_without_sales_is_named() -> None:
    assert said(month(((1000, 400), (1000, 400)), (None, (3000, 0))))[1] == (
        "Sales to online customers came to $1.0M, at a margin of 40.0%; there were no sales to resellers."
    )


@pytest.mark.parametrize(
    ("bridge", "sentence"),
    [
        (
            (effects("online", 10, 0, 0, 0, 0, 0), effects("reseller", 0, 0, -50, 1, 0, 0)),
            "By booking month, gross profit fell by $39.0k from May 2013: mainly lower prices (-$50.0k), higher volume"
            " (+$10.0k).",
        ),
        (
            (effects("reseller", 0, 0, 0, -20, 0, 0),),
            "By booking month, gross profit on sales to resellers fell by $20.0k from May 2013: mainly higher costs"
            " (-$20.0k).",
        ),
    ],
    ids=["both channels", "one channel"],
)
def test_the_bridge_names_the_largest_effects_with_their_signs(bridge: tuple[Bridge, ...], sentence: str) -> None:
    assert said(month(((1000, 400), (1000, 400)), bridge=bridge))[-1] == sentence


@pytest.mark.parametrize(
    ("changes", "english", "french"),
    [
        ((9, 0, 0, 0, 0, 0), "higher volume (+$9.0k)", "hausse des volumes (+9,0 k$US)"),
        ((-9, 0, 0, 0, 0, 0), "lower volume (-$9.0k)", "baisse des volumes (-9,0 k$US)"),
        ((0, 9, 0, 0, 0, 0), "a more profitable mix (+$9.0k)", "mix plus rentable (+9,0 k$US)"),
        ((0, -9, 0, 0, 0, 0), "a less profitable mix (-$9.0k)", "mix moins rentable (-9,0 k$US)"),
        ((0, 0, 9, 0, 0, 0), "higher prices (+$9.0k)", "hausse des prix (+9,0 k$US)"),
        ((0, 0, -9, 0, 0, 0), "lower prices (-$9.0k)", "baisse des prix (-9,0 k$US)"),
        ((0, 0, 0, 9, 0, 0), "lower costs (+$9.0k)", "baisse des coûts (+9,0 k$US)"),
        ((0, 0, 0, -9, 0, 0), "higher costs (-$9.0k)", "hausse des coûts (-9,0 k$US)"),
        ((0, 0, 0, 0, 9, 0), "new products (+$9.0k)", "nouveaux produits (+9,0 k$US)"),
        ((0, 0, 0, 0, -9, 0), "new products sold at a loss (-$9.0k)", "nouveaux produits vendus à perte (-9,0 k$US)"),
        (
            (0, 0, 0, 0, 0, 9),
            "discontinued products that made a loss (+$9.0k)",
            "produits déficitaires qui ne sont plus vendus (+9,0 k$US)",
        ),
        ((0, 0, 0, 0, 0, -9), "discontinued products (-$9.0k)", "produits qui ne sont plus vendus (-9,0 k$US)"),
    ],
)
def test_effects_are_worded_by_their_sign(changes: tuple[int, ...], english: str, french: str) -> None:
    found = month(((1000, 400), (1000, 400)), bridge=(effects("online", *changes),))
    assert said(found)[-1].endswith(f"mainly {english}.")
    assert said(found, "fr")[-1].endswith(f"surtout {french}.")


def test_a_bridge_without_effects_is_not_mentioned() -> None:
    assert len(said(month(((1000, 400), (1000, 400)), bridge=(effects("online", 0, 0, 0, 0, 0, 0),)))) == 2


def test_a_running_month_states_what_was_sold_so_far_and_compares_the_same_days_only() -> None:
    found = month(((49, 20), (900, 400)), (None, None), as_of=date(2014, 5, 20))
    assert said(found) == [
        "May 2014 is not over: its figures go up to May 20, 2014.",
        "Sales to online customers have come to $49.0k so far, compared with $900k on the same days of April 2014.",
        "There have been no sales to resellers so far.",
    ]
    assert said(month(((49, 20), None), ((10, 1), None), as_of=date(2014, 5, 20)), "fr")[1:] == [
        "Les ventes aux clients en ligne atteignent 49,0 k$US à ce jour.",
        "Les ventes aux revendeurs atteignent 10,0 k$US à ce jour.",
    ]


def test_a_month_whose_last_day_is_the_newest_is_compared_with_the_whole_month_before() -> None:
    found = month(((49, 20), (900, 400)), (None, None), as_of=date(2014, 5, 31))
    assert said(found)[:2] == [
        "The data ends on May 31, 2014; later orders of May 2014 may still come.",
        "Sales to online customers have come to $49.0k so far, compared with $900k in April 2014.",
    ]
    assert said(found, "fr")[:2] == [
        "Les données s’arrêtent au 31 mai 2014 ; des commandes du mois (mai 2014) peuvent encore arriver.",
        "Les ventes aux clients en ligne atteignent 49,0 k$US à ce jour, contre 900 k$US en avril 2014.",
    ]


def test_a_month_without_revenue_has_no_margin_to_explain() -> None:
    assert said(month(((0, 0), (1000, 400)))) == ["There were no sales to online customers."]


def test_french_points_are_singular_below_two() -> None:
    assert "a gagné 1,7 point," in said(month(((1000, 450), (1000, 400)), ((2000, 100), (2000, 100))), "fr")[0]
