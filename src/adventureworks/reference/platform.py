"""Reference of the settings, the metrics and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer import Context
from typer.main import get_command

from adventureworks.monitoring.figures import METRICS
from adventureworks.reference.markdown import code, table
from adventureworks.settings import PROJECT_ROOT, Settings


def settings() -> str:
    """Return every setting with its type and default."""
    return table(
        ("Variable", "Type", "Default", "Meaning"),
        (
            (code(f"ADVENTUREWORKS_{name.upper()}"), _type(field), code(_default(field)), field.description or "")
            for name, field in Settings.model_fields.items()
        ),
    )


def metrics() -> str:
    """Return every metric with its unit."""
    return table(
        ("Metric", "Unit", "Meaning"), ((code(metric.name), code(metric.unit), metric.meaning) for metric in METRICS)
    )


def command_line() -> str:
    """Return the help of every command, as typer writes it."""
    from typer.cli import get_docs_for_click

    from adventureworks.cli import app

    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=Context(command), name="adventureworks")
    return text.split("\n", 2)[2].strip()


def _type(field: FieldInfo) -> str:
    return ", ".join(dict.fromkeys(_names(field.annotation)))


def _names(annotation: object) -> Iterator[str]:
    """Yield the plain names of a type: those of a union's members, the values of a literal."""
    arguments = get_args(annotation)
    if not arguments or get_origin(annotation) in (dict, tuple):
        name = getattr(annotation, "__name__", str(annotation))
        yield {
            "NoneType": "none",
            "SecretStr": "secret",
            "str": "text",
            "Path": "path",
            "dict": "JSON",
            "tuple": "JSON",
        }.get(name, name)
        return
    for argument in arguments:
        if isinstance(argument, str):
            yield code(argument)
        else:
            yield from _names(argument)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined or field.default is None:
        return ""
    if isinstance(field.default, Path):
        return field.default.relative_to(PROJECT_ROOT).as_posix()
    if isinstance(field.default, tuple):
        return json.dumps(field.default)
    return str(field.default)
