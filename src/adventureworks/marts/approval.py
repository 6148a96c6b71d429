"""Approvals: one-time permission from a person to publish what the gate of an analysis refused.

An approval holds for what is computed from the same inputs with the same models. It ends with the next verdict.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from adventureworks.catalog import MARTS, marts_of
from adventureworks.errors import PlatformError, Step
from adventureworks.gate.contract import KEY_IS_UNIQUE
from adventureworks.gate.verdict import FAILED
from adventureworks.marts.build import Build
from adventureworks.settings import Settings
from adventureworks.warehouse import intervention, layout, open_warehouse
from adventureworks.warehouse.intervention import Intervention
from adventureworks.warehouse.postgres import Connection


def approve(settings: Settings, mart: str, who: str, reason: str) -> tuple[str, ...]:
    """Approve what was refused of a mart's analysis; return the failed checks as `mart: rule`.

    The marts of an analysis are published together, so the failed checks of all of them are approved. Raises
    `PlatformError` if nothing was refused, or rows break a contract or share a key, or a check could not be evaluated.
    """
    dag = MARTS[mart].dag
    with open_warehouse(settings).connect(f"approve {mart}") as session:
        layout.prepare(session)
        records = session.records
        row = records.execute(
            "select run_id, inputs, model, as_of from ops.build where dag = %s and refused", (dag,)
        ).fetchone()
        details = Step("Details:", f"adventureworks status {mart}")
        if row is None:
            raise PlatformError(f"{mart} has no refused result.", details)
        run_id, inputs, model, as_of = row
        failed = _failed(records, dag, run_id)
        for one in failed:
            if not one.can_be_approved:
                raise PlatformError(f"{one.asset} is refused by {one.rule}, which cannot be approved.", details)
        rules = [f"{one.asset}: {one.rule}" for one in failed]
        detail = {"rules": rules, "inputs": json.loads(inputs), "models": model, "as_of": as_of.isoformat()}
        intervention.record(records, "approval", mart, who, reason, detail, in_force=True)
        # This makes the analysis due again.
        records.execute("update ops.build set refused = false where dag = %s and run_id = %s", (dag, run_id))
        return tuple(rules)


@dataclass(frozen=True)
class _Failed:
    """A check or a rule of a contract that a mart failed."""

    asset: str
    rule: str
    kind: str
    outcome: str

    @property
    def can_be_approved(self) -> bool:
        """Return whether a person may overrule it: the table of the mart itself rejects rows with the same key."""
        return self.kind != "contract" and self.outcome != "error" and self.rule != KEY_IS_UNIQUE


def _failed(records: Connection, dag: str, run_id: str) -> list[_Failed]:
    rows = records.execute(
        "select asset, rule, kind, outcome from ops.check_result"
        " where run_id = %s and asset = any(%s) and outcome = any(%s) order by asset, rule",
        (run_id, [mart.name for mart in marts_of(dag)], sorted(FAILED)),
    ).fetchall()
    return [_Failed(*row) for row in rows]


def can_be_approved(records: Connection, dag: str, run_id: str) -> bool:
    """Return whether a person may approve everything that a run of an analysis failed."""
    return all(one.can_be_approved for one in _failed(records, dag, run_id))


def rules_of(records: Connection, dag: str, built: Build) -> frozenset[str]:
    """Return the checks, as `mart: rule`, that a build may fail."""
    return frozenset(
        rule for one in _of_analysis(records, dag) if _concerns(one, built) for rule in one.detail["rules"]
    )


def end(records: Connection, dag: str, run_id: str) -> None:
    """End the approvals for an analysis, because a run has reached a verdict on it."""
    for one in _of_analysis(records, dag):
        intervention.use(records, one.number, run_id)
        intervention.end(records, one.number)


def _of_analysis(records: Connection, dag: str) -> list[Intervention]:
    names = {mart.name for mart in marts_of(dag)}
    return [one for one in intervention.approvals(records) if one.asset in names]


def _concerns(approval: Intervention, built: Build) -> bool:
    detail = approval.detail
    return (
        detail["inputs"] == dict(built.inputs)
        and detail["models"] == " ".join(built.models.values())
        and detail["as_of"] == built.as_of.isoformat()
    )
