"""What an incident in `ops.incident` is about: a task of a DAG, or else a table, a mart or a part of the platform.

Its column `asset` alone does not say it, because an analysis may have the name of one of its marts.
"""

TASK_RULE = "task_"
"""Prefix of the rule that a DAG's task succeeds."""

NOT_OF_TASK = f"not starts_with(rule, '{TASK_RULE}')"
"""The SQL condition that a row of `ops.incident` is not about a task."""


def is_of_task(rule: str) -> bool:
    """Return whether an incident with this rule is about a task of a DAG."""
    return rule.startswith(TASK_RULE)
