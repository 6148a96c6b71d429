"""The answers of a survey, read from the XML in which a source stores them.

The XML is untrusted: document types, entities and anything from the network are refused, size and depth are limited,
and XML that cannot be read is a fault of its row only. The types of the answers are not known here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import ParseError

import polars as pl
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

MOST_CHARACTERS = 65_536
"""A hundred times the longest survey seen so far."""

MOST_LEVELS = 32

# Some exports put a byte order mark before the text.
_BEFORE_THE_ROOT = "\ufeff \t\r\n"


@dataclass(frozen=True)
class Fault:
    """Why the XML of one row cannot be read; the caller puts the column's name before `rule` and `words`."""

    row: int
    rule: str
    words: str


def answers(surveys: pl.Series, root: str, questions: Collection[str]) -> tuple[pl.DataFrame, list[Fault]]:
    """Return the answers to the questions, one text column for each, and the rows whose XML cannot be read.

    `root` is the name of the XML's root element as `{namespace}name`. A different root is a fault; a missing namespace
    is not. A question is the name of a child of the root, in any namespace. Blanks around an answer are stripped. An
    unanswered question is NULL, and so is every answer in a row with a fault.
    """
    found: dict[str, list[str | None]] = {question: [None] * len(surveys) for question in questions}
    faults: list[Fault] = []
    for row, text in enumerate(surveys):
        xml = (text or "").lstrip(_BEFORE_THE_ROOT)
        if not xml:
            continue
        try:
            answered = _answered(xml, root, questions)
        except _Unreadable as fault:
            faults.append(Fault(row, *fault.args))
            continue
        for question, answer in answered.items():
            found[question][row] = answer or None
    return pl.DataFrame(found, schema=dict.fromkeys(questions, pl.String())), faults


class _Unreadable(Exception):
    """The XML breaks a rule; the arguments are the rule and the rule in words."""


def _answered(xml: str, root: str, questions: Collection[str]) -> dict[str, str]:
    """Return the answer to each question that the XML contains. Raises _Unreadable."""
    if len(xml) > MOST_CHARACTERS:
        raise _Unreadable("is_short", f"has at most {MOST_CHARACTERS:,} characters")
    parser = DefusedXMLParser(target=_Reader(root, questions), forbid_dtd=True)
    try:
        parser.feed(xml)
        read: dict[str, str] = parser.close()
    except ParseError:
        raise _Unreadable("is_well_formed", "is well-formed XML") from None
    except DefusedXmlException:
        raise _Unreadable("has_no_dtd", "has no document type and no entities") from None
    return read


class _Reader:
    """A parser target that collects the text of the root's children without building a tree."""

    def __init__(self, root: str, questions: Collection[str]) -> None:
        self._roots = (root, root.rpartition("}")[2])
        self._questions = questions
        self._level = 0
        self._text: list[str] = []
        self._answers: dict[str, str] = {}

    def start(self, tag: str, _attributes: Any) -> None:
        """Handle the start of an element."""
        self._level += 1
        if self._level == 1 and tag not in self._roots:
            raise _Unreadable("is_of_its_schema", f"is the XML of a {self._roots[1]}")
        if self._level > MOST_LEVELS:
            raise _Unreadable("is_flat", f"has at most {MOST_LEVELS} levels")
        if self._level == 2:
            self._text.clear()

    def data(self, text: str) -> None:
        """Handle a piece of text of an open element."""
        if self._level == 2:
            self._text.append(text)

    def end(self, tag: str) -> None:
        """Handle the end of an element; `tag` is `{namespace}name`."""
        question = tag.rpartition("}")[2]
        if self._level == 2 and question in self._questions:
            if question in self._answers:
                raise _Unreadable("answers_once", f"answers {question} only once")
            self._answers[question] = "".join(self._text).strip()
        self._level -= 1

    def close(self) -> dict[str, str]:
        """Return the answers at the end of the document."""
        return self._answers
