"""The table of support that the book shows, measured: `SUPPORT=write` in the environment writes what is found."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.properties import PROPERTIES, SLOW, answer
from tests.support.subjects import SLOWLY, SUBJECTS

TABLE = Path(__file__).resolve().parents[2] / "book" / "support.json"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def committed() -> dict[str, dict[str, str]]:
    return json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.is_file() else {}


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_line_of_the_table_is_what_is_measured(name):
    asked = [question for question in PROPERTIES if question not in SLOW or name in SLOWLY]
    found = {question: answer(name, question) for question in asked}
    if os.environ.get("SUPPORT") == "write":
        TABLE.write_text(json.dumps({**committed(), name: found}, indent=1) + "\n", encoding="utf-8")
    assert committed()[name] == found


def test_the_table_has_a_line_for_each_and_no_other():
    assert list(committed()) == list(SUBJECTS)
