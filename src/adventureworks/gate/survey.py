"""The answers of a survey, read out of the XML that a source keeps them in.

The XML comes from outside: no document type, no entity and nothing from the network is taken, size and depth are
bounded, and whatever cannot be read is the fault of its row alone. What type an answer has is not known here.
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
"""A hundred times the longest survey that was ever filled in."""

MOST_LEVELS = 32

# Some exports put a byte order mark before the text.
_BEFORE_THE_ROOT = "\ufeff \t\r\n"


@dataclass(frozen=True)
class Fault:
    """Why the XML of one row cannot be read; rule and words go on where the column's name ends."""

    row: int
    rule: str
    words: str


def answers(surveys: pl.Series, root: str, questions: Collection[str]) -> tuple[pl.DataFrame, list[Fault]]:
    """The answers to the questions, one column of text for each, and the rows whose XML cannot be read.

    `root` is the name of the XML's root as `{namespace}name`; another one is a fault, no namespace is none. A question
    is the name of a child of the root, in whatever namespace. Blanks around an answer are dropped; what was
    not answered is NULL, and so is everything in a row with a fault.
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
    """The rule that an XML text breaks, and the rule in words."""


def _answered(xml: str, root: str, questions: Collection[str]) -> dict[str, str]:
    """The answer to each question that the XML holds. Raises _Unreadable."""
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
    """Keeps the text of the root's children while the parser goes by; no tree is built."""

    def __init__(self, root: str, questions: Collection[str]) -> None:
        self._roots = (root, root.rpartition("}")[2])
        self._questions = questions
        self._level = 0
        self._text: list[str] = []
        self._answers: dict[str, str] = {}

    def start(self, tag: str, _attributes: Any) -> None:
        """An element begins."""
        self._level += 1
        if self._level == 1 and tag not in self._roots:
            raise _Unreadable("is_of_its_schema", f"is the XML of a {self._roots[1]}")
        if self._level > MOST_LEVELS:
            raise _Unreadable("is_flat", f"has at most {MOST_LEVELS} levels")
        if self._level == 2:
            self._text.clear()

    def data(self, text: str) -> None:
        """A piece of text, of the element that began last or of one around it."""
        if self._level == 2:
            self._text.append(text)

    def end(self, tag: str) -> None:
        """An element ends; its name has its namespace before it, in braces."""
        question = tag.rpartition("}")[2]
        if self._level == 2 and question in self._questions:
            if question in self._answers:
                raise _Unreadable("answers_once", f"answers {question} once")
            self._answers[question] = "".join(self._text).strip()
        self._level -= 1

    def close(self) -> dict[str, str]:
        """The document is over."""
        return self._answers
