"""What contracts say about tables and marts, read from their files without importing them.

Airflow parses each DAG file again and again, and importing the contracts takes more than a second of processor time.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from adventureworks.catalog.entries import Mart, SourceTable


@dataclass(frozen=True)
class Summary:
    """What a row of a table or mart is, in English, and the version of its contract."""

    description: str
    contract: str


def summary_of(entry: SourceTable | Mart) -> Summary:
    """Return the summary of a table or mart. Raises `KeyError` if its contract has no version."""
    module, name = entry.contract_path
    return _summaries(module)[name]


@lru_cache(maxsize=16)
def _summaries(module: str) -> Mapping[str, Summary]:
    """Return the summary of each contract of a module, by the name of its class."""
    package, _, name = module.rpartition(".")
    tree = ast.parse(files(package).joinpath(f"{name}.py").read_text(encoding="utf-8"))
    return {
        found.name: Summary((ast.get_docstring(found) or "").split("\n")[0], version)
        for found in tree.body
        if isinstance(found, ast.ClassDef) and (version := _version(found))
    }


def _version(contract: ast.ClassDef) -> str:
    for config in contract.body:
        if isinstance(config, ast.ClassDef) and config.name == "Config":
            for statement in config.body:
                if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "metadata":
                    return str(ast.literal_eval(statement.value)["version"])
    return ""
