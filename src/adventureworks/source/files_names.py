"""Maps the names of files to tables. Names only: nothing is opened here.

A table's file is `Schema_Table`, `Schema.Table`, `Schema/Table` or just `Table`, with `.parquet`, `.csv` or `.csv.gz`.
A folder with such a name, with or without an extension, holds the table in part files. Case does not matter as long as
one file is left: an exact name comes before names that only differ in case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.source.columns import standing_for

SUFFIXES = (".parquet", ".csv.gz", ".csv")

SUCCESS = "_SUCCESS"
"""The marker that Spark and Hive write when a folder of part files is complete."""
_COMMITTED = "_committed"
"""How the markers of Databricks begin."""
_UNFINISHED = "_temporary"
"""The folder in which Spark keeps the parts of a job that has not ended."""
_OTHER_FORMATS = {"_delta_log": "a Delta Lake table", "_spark_metadata": "the output of a Spark stream"}
"""Folders that say which part files count, so that reading all of them would be wrong."""

_PART = re.compile(r"(part|data)?[-_.]?\d.*\.(parquet|csv|csv\.gz)", re.IGNORECASE)
"""Names of part files in a folder without an extension. With other files in it, such a folder is refused."""


class _Spelling(NamedTuple):
    """A spelling of a table's name, in the contract's case; a bare one lacks the schema."""

    asset: str
    exact: str
    is_bare: bool


@dataclass(frozen=True)
class Candidate:
    """A file, or a folder of part files, that a table can be read from. Paths are relative to the source's root."""

    asset: str
    path: str
    exact: str
    """The path, spelled as in AdventureWorks."""
    suffix: str
    is_bare: bool
    parts: tuple[str, ...]
    is_folder: bool = False
    is_marked_complete: bool = False
    fault: str = ""
    """Why the folder cannot be read, or empty."""
    is_unfinished: bool = False
    """Whether a job is still writing the folder."""

    @property
    def name(self) -> str:
        """The name for messages; a folder ends with a slash."""
        return f"{self.path}/" if self.is_folder else self.path


@dataclass(frozen=True)
class Recognized:
    """What the names in a source stand for: candidates by asset, and names that belong to no table."""

    candidates: Mapping[str, tuple[Candidate, ...]]
    unknown: tuple[str, ...]


def recognized(names: Iterable[str]) -> Recognized:
    """Map the names of files, relative to the source's root, to tables; the names of folders end with a slash.

    Hidden files and the markers of Spark and Hive are never candidates, nor reported as unknown.
    """
    members: dict[str, list[str]] = {}
    spellings: dict[str, tuple[_Spelling, str]] = {}
    unknown = []
    for name in sorted(names):
        found = _path_of(name)
        if found is not None:
            path, spelling, suffix = found
            spellings[path] = spelling, suffix
            members.setdefault(path, []).append(name.removeprefix(path))
        elif not _is_hidden(name) and not (name.endswith("/") and may_hold(name)):
            unknown.append(name)
    candidates: dict[str, list[Candidate]] = {}
    for path, rest in members.items():
        candidate = _candidate(path, *spellings[path], rest)
        if candidate.parts or candidate.fault:
            candidates.setdefault(candidate.asset, []).append(candidate)
        else:
            unknown.extend(path + name for name in rest if _suffix_of(name))
    return Recognized({asset: _preferred(several) for asset, several in candidates.items()}, tuple(sorted(unknown)))


def may_hold(folder: str, asset: str | None = None) -> bool:
    """Return whether a folder may hold a table, or the table of this asset, so that its names must be listed."""
    components = folder.rstrip("/").split("/")
    if len(components) > 2 or _is_hidden(folder):
        return False
    spelling = _spelling_of("/".join(components))
    is_of_table = spelling is not None and asset in (None, spelling[0].asset)
    is_of_schema = len(components) == 1 and components[0].casefold() in _schemas(asset)
    return is_of_table or is_of_schema


def may_concern(asset: str) -> Callable[[str], bool]:
    """Return a quick test of whether an entry of the source's root may belong to this table; true if in doubt."""
    schema, _, table = asset.casefold().partition("_")

    def test(name: str) -> bool:
        simple = name.casefold()
        return table in simple or simple == schema

    return test


def without_suffix(name: str) -> str:
    """Return a name without the extension that a table's file may have."""
    return name[: len(name) - len(_suffix_of(name))]


def _path_of(name: str) -> tuple[str, _Spelling, str] | None:
    """Return the file or folder that this name belongs to, its spelling and its suffix; None if it is of no table."""
    components = name.split("/")
    # A file in the folder of a schema that is also a table's name, such as Person, may be another table.
    for depth in (2, 1):
        path, rest = "/".join(components[:depth]), components[depth:]
        found = _spelling_of(path)
        if found is None:
            continue
        _, suffix = found
        is_folder_of_parts = bool(rest) and (bool(suffix) or _is_part(rest))
        if (not rest and suffix) or is_folder_of_parts:
            return path, *found
    return None


def _is_part(rest: list[str]) -> bool:
    """Return whether this is a name inside a folder of part files without an extension, even if it is at fault."""
    if len(rest) == 1:
        is_data = bool(_suffix_of(rest[0])) and not _is_hidden(rest[0])
        return is_data or rest[0] == SUCCESS or rest[0].startswith(_COMMITTED)
    return rest[0] in (_UNFINISHED, *_OTHER_FORMATS) or "=" in rest[0]


def _candidate(path: str, spelling: _Spelling, suffix: str, rest: list[str]) -> Candidate:
    exact = spelling.exact + suffix
    if rest == [""]:
        return Candidate(spelling.asset, path, exact, suffix, spelling.is_bare, (path,))
    inside = [name.removeprefix("/") for name in rest]
    parts = [name for name in inside if name and "/" not in name and not _is_hidden(name)]
    others = [] if suffix else [name for name in parts if not _PART.fullmatch(name)]
    if others == parts and path.casefold() in _schemas(None):
        # It is only the folder of a schema, with files that belong to no table.
        others = parts = []
    nested = [name for name in inside if "/" in name and not _is_hidden(name)]
    suffixes = {suffix or _suffix_of(part) for part in parts}
    fault = ""
    other = next((what for name in inside for sign, what in _OTHER_FORMATS.items() if name.startswith(sign)), None)
    is_unfinished = not other and any(name.startswith(_UNFINISHED) for name in inside)
    if other:
        fault = f"is {other}"
    elif is_unfinished:
        fault = f"contains {_UNFINISHED}, so its part files are incomplete"
    elif nested:
        fault = f"contains folders ({nested[0].partition('/')[0]})"
    elif others:
        fault = f"contains {others[0]}, which is not named like a part file"
    elif not parts and suffix:
        fault = "contains no part files"
    elif len(suffixes) > 1:
        fault = f"contains part files of different formats ({' and '.join(sorted(suffixes))})"
    return Candidate(
        spelling.asset,
        path,
        exact,
        min(suffixes, default=suffix),
        spelling.is_bare,
        tuple(f"{path}/{part}" for part in parts),
        is_folder=True,
        is_marked_complete=any(name == SUCCESS or name.startswith(_COMMITTED) for name in inside),
        fault=fault,
        is_unfinished=is_unfinished,
    )


def _preferred(candidates: list[Candidate]) -> tuple[Candidate, ...]:
    """Leave out names that differ only in case from an exact one."""
    standing = standing_for({one.exact for one in candidates}, [one.path for one in candidates])
    return tuple(one for one in candidates if one.path in standing[one.exact])


def _is_hidden(name: str) -> bool:
    return name.rstrip("/").rpartition("/")[2].startswith((".", "_")) or name.startswith((".", "_"))


def _suffix_of(name: str) -> str:
    return next((suffix for suffix in SUFFIXES if name.casefold().endswith(suffix)), "")


def _spelling_of(path: str) -> tuple[_Spelling, str] | None:
    """Return the spelling and the suffix of a path, or None if it names no table."""
    spelling = _spellings().get(without_suffix(path).casefold())
    return (spelling, _suffix_of(path)) if spelling else None


@cache
def _spellings() -> dict[str, _Spelling]:
    """Return every spelling of every table by its text without case. A bare name that two tables share is left out."""
    bare = [table.name.casefold() for table in SOURCE_TABLES.values()]
    found = {}
    for table in SOURCE_TABLES.values():
        for exact in (f"{table.schema}{mark}{table.name}" for mark in "_./"):
            found[exact.casefold()] = _Spelling(table.asset, exact, is_bare=False)
        if bare.count(table.name.casefold()) == 1:
            found[table.name.casefold()] = _Spelling(table.asset, table.name, is_bare=True)
    return found


@cache
def _schemas(asset: str | None) -> frozenset[str]:
    tables = SOURCE_TABLES.values() if asset is None else (SOURCE_TABLES[asset],)
    return frozenset(table.schema.casefold() for table in tables)
