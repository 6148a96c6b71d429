"""The story of a month: up to three sentences on what changed its margin, chosen from its figures alone.

The first compares the margin with the month before, or else with the year before, and names the main cause by channel.
The second states what each channel sold and earned. The third states what changed the gross profit since the year
before, from `profit_bridge`. For a running month, they state what each channel has sold so far.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from adventureworks.months import shifted
from adventureworks.reports.bridge import EFFECTS
from adventureworks.reports.month import ZERO, Amounts, Line, Month
from adventureworks.texts import Language

MAX_EFFECTS = 3
"""Effects in the third sentence, the largest ones."""
LEAST_EFFECT = Decimal("0.1")
"""Effects below this share of the largest one are not named."""


def story(found: Month, language: Language) -> list[str]:
    """Return the sentences in a language."""
    if not found.is_over:
        return list(_so_far(found, language))
    return [*_margin(found, language), *_channels(found, language), *_bridge(found, language)]


@dataclass(frozen=True)
class _Compared:
    """The month that the report's month is compared with."""

    month: date
    total: Amounts
    channels: Mapping[str, Amounts]
    """Sales by channel; empty if the report has no channels."""


def _compared(found: Month) -> _Compared | None:
    """Return the month before, or else the year before; None if neither has a margin to compare with."""
    before = _Compared(
        shifted(found.month, -1),
        found.total.before or _NOTHING,
        {line.name: line.before for line in found.channels if line.before},
    )
    year_before = _Compared(
        shifted(found.month, -12),
        found.total.year_before or _NOTHING,
        {line.name: line.year_before for line in found.channels if line.year_before},
    )
    return next((one for one in (before, year_before) if one.total.margin is not None), None)


_NOTHING = Amounts(ZERO, ZERO, ZERO, ZERO)


def _so_far(found: Month, language: Language) -> Iterator[str]:
    text, before = language.text, language.month(shifted(found.month, -1))
    values = {"month": language.month(found.month), "day": language.day(found.as_of)}
    if found.is_covered:
        yield text("The data ends on {day}; later orders of {month} may still come.", **values)
    else:
        yield text("{month} is not over: its figures go up to {day}.", **values)
    for line in found.channels:
        channel, revenue = _customers(line.name, language), language.short_money(line.now.revenue)
        if not line.now.revenue:
            yield text("There have been no sales to {channel} so far.", channel=channel)
        elif line.before is None:
            yield text("Sales to {channel} have come to {revenue} so far.", channel=channel, revenue=revenue)
        else:
            compared = {"channel": channel, "revenue": revenue, "month": before}
            compared["before"] = language.short_money(line.before.revenue)
            yield (
                text("Sales to {channel} have come to {revenue} so far, compared with {before} in {month}.", **compared)
                if found.is_covered
                else text(
                    "Sales to {channel} have come to {revenue} so far, compared with {before} on the same days of"
                    " {month}.",
                    **compared,
                )
            )


def _margin(found: Month, language: Language) -> Iterator[str]:
    text, now = language.text, found.total.now.margin
    if now is None:
        return
    compared = _compared(found)
    if compared is None or compared.total.margin is None:
        yield text(
            "In {month}, the margin was {margin}; there is no complete earlier month to compare it with.",
            month=language.month(found.month),
            margin=language.percent(now),
        )
        return
    change = now - compared.total.margin
    values = {
        "now": language.percent(now),
        "before": language.percent(compared.total.margin),
        "then": language.month(compared.month),
        "points": language.points(abs(change)),
    }
    if round(change, 3) == 0:
        yield text("The margin hardly changed: it was {now}, after {before} in {then}.", **values)
    else:
        fact = (
            text("The margin fell by {points}, from {before} in {then} to {now}", **values)
            if change < 0
            else text("The margin rose by {points}, from {before} in {then} to {now}", **values)
        )
        cause = _cause(found, compared, change, language)
        yield text("{fact}, because {cause}.", fact=fact, cause=cause) if cause else f"{fact}."


def _cause(found: Month, compared: _Compared, change: Decimal, language: Language) -> str:
    """Return the larger cause of the change, as a clause: other shares of the channels, or a channel's own margin.

    With shares s and margins m, the change is Σ s·(m - m before), the channels' own margins, plus the effect of the
    shares. Returns an empty string if there is only one channel.
    """
    channels = [line for line in found.channels if line.now.revenue or _then(line, compared).revenue]
    if len(channels) < 2:
        return ""
    own = {line.name: _own_effect(line, found, compared) for line in channels}
    sign = 1 if change > 0 else -1
    strongest = max(channels, key=lambda line: own[line.name] * sign)
    if own[strongest.name] * sign >= (change - sum(own.values())) * sign:
        return _own_margin(strongest, compared, language)
    return _share(max(channels, key=lambda line: _gain(line, found, compared)), channels, found, compared, language)


def _then(line: Line, compared: _Compared) -> Amounts:
    return compared.channels.get(line.name, _NOTHING)


def _own_effect(line: Line, found: Month, compared: _Compared) -> Decimal:
    now, then = line.now.margin, _then(line, compared).margin
    if now is None or then is None:
        return ZERO
    return line.now.revenue / found.total.now.revenue * (now - then)


def _gain(line: Line, found: Month, compared: _Compared) -> Decimal:
    """Return the change of a channel's share in revenue."""
    return line.now.revenue / found.total.now.revenue - _then(line, compared).revenue / compared.total.revenue


def _own_margin(line: Line, compared: _Compared, language: Language) -> str:
    then, values = _then(line, compared), {"channel": _customers(line.name, language)}
    values |= {"before": language.percent(then.margin), "now": language.percent(line.now.margin)}
    if (line.now.margin or ZERO) < (then.margin or ZERO):
        return language.text("the margin on sales to {channel} fell from {before} to {now}", **values)
    return language.text("the margin on sales to {channel} rose from {before} to {now}", **values)


def _share(grown: Line, channels: list[Line], found: Month, compared: _Compared, language: Language) -> str:
    """Word the effect of the shares by the channel that ended, or else by the one whose share grew."""
    text = language.text
    for line in channels:
        if not line.now.revenue:
            return text(
                "{channel} did not order, after accounting for {share} of revenue",
                channel=_customers(line.name, language),
                share=language.percent(_then(line, compared).revenue / compared.total.revenue),
            )
    channel, share = _customers(grown.name, language), language.percent(grown.now.revenue / found.total.now.revenue)
    before = _then(grown, compared).revenue
    if not before:
        return text("{channel}, who had not ordered, accounted for {share} of revenue", channel=channel, share=share)
    return text(
        "{channel} accounted for {share} of revenue, up from {before}",
        channel=channel,
        share=share,
        before=language.percent(before / compared.total.revenue),
    )


def _channels(found: Month, language: Language) -> Iterator[str]:
    clauses = [_sold(line, language) for line in found.channels]
    if clauses:
        sentence = language.text("; ").join(clauses)
        yield f"{sentence[0].upper()}{sentence[1:]}."


def _sold(line: Line, language: Language) -> str:
    text, channel, revenue = language.text, _customers(line.name, language), language.short_money(line.now.revenue)
    if not line.now.revenue:
        return text("there were no sales to {channel}", channel=channel)
    if round(line.now.profit) < 0:
        return text(
            "sales to {channel} came to {revenue}, at a loss of {loss}",
            channel=channel,
            revenue=revenue,
            loss=language.short_money(-line.now.profit),
        )
    return text(
        "sales to {channel} came to {revenue}, at a margin of {margin}",
        channel=channel,
        revenue=revenue,
        margin=language.percent(line.now.margin),
    )


def _bridge(found: Month, language: Language) -> Iterator[str]:
    text = language.text
    sums = [sum((one.effects[place] for one in found.bridge), ZERO) for place in range(len(EFFECTS))]
    largest = max(abs(amount) for amount in sums)
    if not largest:
        return
    named = sorted(zip(sums, EFFECTS, strict=True), key=lambda effect: -abs(effect[0]))[:MAX_EFFECTS]
    named_by_sign = _effect_names(language)
    change = sum(sums, ZERO)
    values = {
        "then": language.month(shifted(found.month, -12)),
        "amount": language.short_money(abs(change)),
        "effects": ", ".join(
            f"{named_by_sign[effect][amount < 0]} ({language.short_money(amount, signed=True)})"
            for amount, effect in named
            if abs(amount) >= LEAST_EFFECT * largest
        ),
    }
    channels = {one.channel for one in found.bridge}
    if len(channels) > 1 and change < 0:
        yield text("By booking month, gross profit fell by {amount} from {then}: mainly {effects}.", **values)
    elif len(channels) > 1:
        yield text("By booking month, gross profit rose by {amount} from {then}: mainly {effects}.", **values)
    else:
        values["channel"] = _customers(channels.pop(), language)
        yield (
            text(
                "By booking month, gross profit on sales to {channel} fell by {amount} from {then}: mainly {effects}.",
                **values,
            )
            if change < 0
            else text(
                "By booking month, gross profit on sales to {channel} rose by {amount} from {then}: mainly {effects}.",
                **values,
            )
        )


def _customers(channel: str, language: Language) -> str:
    """Return the customers of a channel, for use within a sentence."""
    return {"online": language.text("online customers"), "reseller": language.text("resellers")}[channel]


def _effect_names(language: Language) -> Mapping[str, tuple[str, str]]:
    """Return the words for an effect that raised the profit, and for one that lowered it."""
    text = language.text
    return {
        "volume_effect": (text("higher volume"), text("lower volume")),
        "mix_effect": (text("a more profitable mix"), text("a less profitable mix")),
        "price_effect": (text("higher prices"), text("lower prices")),
        "cost_effect": (text("lower costs"), text("higher costs")),
        "new_products": (text("new products"), text("new products sold at a loss")),
        "gone_products": (text("discontinued products that made a loss"), text("discontinued products")),
    }
