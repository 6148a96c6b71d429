"""Contracts of tables and marts, between their producers and consumers. Nothing here imports from `src`.

Each contract states its version, MAJOR.MINOR, in its `Config`. `adventureworks contract diff` says when a change needs
a new one; docs/contracts.md has the rules.
"""

from collections.abc import Mapping

RETIRED: Mapping[str, str] = {}
"""Contracts that no longer exist: the name of the table or mart, and the major version with which it ended."""
