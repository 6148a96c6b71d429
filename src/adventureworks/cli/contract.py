"""`adventureworks contract …`: compare the contracts with those of a Git revision, and export them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adventureworks.catalog import entry_named
from adventureworks.cli.output import console
from adventureworks.cli.revision import NoBase, base_revision, checked_out, printed_by
from adventureworks.data_contracts import odcs
from adventureworks.data_contracts.description import ADAPTER, describe
from adventureworks.data_contracts.difference import Changed, Difference, compare
from adventureworks.errors import PlatformError
from adventureworks.settings import PROJECT_ROOT, Settings
from adventureworks.texts.plain import listed

Readers = dict[tuple[str, str], list[str]]
"""By table or mart, and column (empty: any column): the names of its readers."""

_DESCRIBE = "from adventureworks.data_contracts.description import ADAPTER, describe; \
print(ADAPTER.dump_json(describe()).decode())"
_READERS = "import json, sys; from adventureworks.lineage.readers import readers_of; \
print(json.dumps([readers_of(*one) for one in json.loads(sys.argv[1])]))"
_MAX_READERS = 4


def diff(revision: str, output: str) -> int:
    """Print how the contracts differ from a revision; return 1 if a changed contract needs another version.

    Without a revision to compare with, print why and return 0. Raises `PlatformError` if the named one cannot be read.
    """
    try:
        base = revision or base_revision()
    except NoBase as error:
        print(f"Contracts are not compared. {error}", file=sys.stderr)
        return 0
    with checked_out(base) as folder:
        # This code describes the older contracts too: the same description on both sides.
        described = printed_by(_DESCRIBE, base, [folder, PROJECT_ROOT / "src"])
        found = compare(ADAPTER.validate_json(described), describe())
        readers = _readers(base, folder, found)
    _PRINT[output](base, found, readers)
    return int(any(one.needs for one in found))


def _readers(base: str, folder: Path, found: list[Changed]) -> Readers:
    """Return the readers of what changed in the older revision: those that relied on it."""
    asked = sorted({(one.name, each.column) for one in found for each in one.differences if one.before})
    if not asked:
        return {}
    try:
        names = printed_by(_READERS, base, [folder / "src", folder], json.dumps(asked))
    except PlatformError as error:
        print(f"The readers in {base} cannot be determined: {error}", file=sys.stderr)
        return {}
    return dict(zip(asked, json.loads(names), strict=True))


def export(settings: Settings, name: str, to: Path | None) -> None:
    """Write one contract or all of them as YAML, to standard output or into a folder, one file for each.

    Raises `PlatformError` if there is no such contract.
    """
    import yaml

    contracts = describe().current
    if name:
        entry_named(name)
    documents = {one: odcs.document(settings, one, contracts[one]) for one in ([name] if name else contracts)}
    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 120}
    if to is None:
        yaml.safe_dump_all(documents.values(), sys.stdout, **options)
        return
    to.mkdir(parents=True, exist_ok=True)
    for one, document in documents.items():
        (to / f"{one}.odcs.yaml").write_text(yaml.safe_dump(document, **options), encoding="utf-8")
    count = len(documents)
    console().print(f"Wrote {count} {'contract' if count == 1 else 'contracts'} to {to}.", markup=False)


def _print_text(base: str, found: list[Changed], readers: Readers) -> None:
    out = console()
    if not found:
        out.print(f"No contract differs from {base[:12]}.", markup=False)
    for one in found:
        out.print(_title(one), markup=False, style="bold")
        for difference in one.differences:
            out.print(f"  {_sentence(one, difference, readers)}", markup=False)
        if one.needs:
            out.print(f"  {_advice(one)}", markup=False, style="red")


def _print_markdown(base: str, found: list[Changed], readers: Readers) -> None:
    if not found:
        print(f"No contract differs from `{base[:12]}`.")
    for one in found:
        print(f"**{_title(one)}**\n")
        for difference in one.differences:
            print(f"- {_sentence(one, difference, readers)}")
        print(f"\n**{_advice(one)}**\n" if one.needs else "")


def _print_json(base: str, found: list[Changed], readers: Readers) -> None:
    contracts = [
        {
            **asdict(one),
            "differences": [
                {**asdict(each), "breaks": each.breaks._asdict(), "read_by": _read_by(one, each, readers)}
                for each in one.differences
            ],
        }
        for one in found
    ]
    json.dump({"revision": base, "contracts": contracts}, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


_PRINT = {"text": _print_text, "markdown": _print_markdown, "json": _print_json}


def _title(one: Changed) -> str:
    return f"{one.name} {one.before or 'without a version'} → {one.after or 'gone'}" + (
        ", breaking" if one.breaking else ""
    )


def _sentence(one: Changed, difference: Difference, readers: Readers) -> str:
    where = f"{difference.column}: " if difference.column else ""
    detail = f" ({difference.detail})" if difference.detail else ""
    broken = [name for name, breaks in zip(("its readers", "its producer"), difference.breaks, strict=True) if breaks]
    effect = f"; breaks {' and '.join(broken)}" if broken and one.breaking else ""
    names = _read_by(one, difference, readers)
    return f"{where}{difference.change}{detail}{effect}" + (f". Read by {listed(names, _MAX_READERS)}" if names else "")


def _read_by(one: Changed, difference: Difference, readers: Readers) -> list[str]:
    return readers.get((one.name, difference.column), [])


def _advice(one: Changed) -> str:
    where = "in its contract" if one.after else "in RETIRED of contracts/__init__.py"
    why = "a breaking change needs a new major version" if one.breaking else "a change needs a new version"
    return f"State version {one.needs} {where}: {why}."
