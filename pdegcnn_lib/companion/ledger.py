"""The ledger: what every statement of the theory was expected to give, what a notebook measured, and the verdict.

A notebook calls `record` where it checks a statement. That raises when the measurement misses, so a wrong number stops
the notebook; it also writes the row down, so that `table` can render one page in which a statement without a row is as
red as a failing one, and `faults` can stop the book for either. Nobody edits the page:
`python -m pdegcnn_lib.companion.ledger --out book/_generated/ledger.md`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Literal, SupportsFloat

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.statements import BOXES, STATEMENTS

Relation = Literal["equals", "at most", "at least"]
DIGITS = 3  # of a measured number in the file: enough to read, few enough to be the same on every machine


@dataclass(frozen=True)
class Row:
    """One row. `dropped` names an assumption left out on purpose: the check then has to fail."""

    statement: str
    claim: str
    where: str
    expected: float | None = None
    measured: float | None = None
    tolerance: float = 0.0
    relation: Relation = "equals"
    dropped: str = ""
    because: str = ""  # where the tolerance comes from
    reason: str = ""  # why nothing can be measured

    @property
    def met(self) -> bool:
        if self.reason:
            return True
        if self.expected is None or self.measured is None or not math.isfinite(self.measured):
            return False
        excess = self.measured - self.expected
        return {
            "equals": abs(excess) <= self.tolerance,
            "at most": excess <= self.tolerance,
            "at least": -excess <= self.tolerance,
        }[self.relation]

    @property
    def verdict(self) -> str:
        if self.reason:
            return f"not checked: {self.reason}"
        if self.dropped and not self.broken:
            return (
                f"fails without {self.dropped}, as it must"
                if not self.met
                else f"HOLDS WITHOUT {self.dropped}"
            )
        return "holds" if self.met else "FAILS"

    @property
    def broken(self) -> bool:
        """Whether the measurement is no number: it is evidence of nothing, whatever was dropped."""
        return self.measured is not None and math.isnan(self.measured)

    @property
    def green(self) -> bool:
        return not self.broken and self.met != bool(self.dropped)


def _short(x: float | None, digits: int = DIGITS) -> str:
    if x is None:
        return ""
    text = f"{x:.{digits}g}"
    return f"{float(text):g}" if digits <= DIGITS else text  # 590 rather than 5.9e+02


def _to_place(x: float, tolerance: float) -> str:
    """x rounded to the first digit of the tolerance, so that machines that agree within it print the same."""
    if not (math.isfinite(x) and tolerance > 0):
        return _short(x)
    place = math.floor(math.log10(tolerance))
    return str(round(Decimal(repr(x)), -place)) if place <= 0 else _short(x)


_open: dict[str, list[Row]] = {}


def folder() -> Path:
    """Where the rows lie, one JSON file for each notebook."""
    return paths.executed() / "ledger"


def _as_filed(row: Row) -> float | None:
    """The measurement with as few digits as keep the verdict; more of them would differ between machines."""
    if row.measured is None or not row.green:
        return row.measured
    rounded = (float(_short(row.measured, digits)) for digits in range(DIGITS, 17))
    return next((m for m in rounded if replace(row, measured=m).green), row.measured)


def _add(new: Row) -> None:
    if new.statement not in STATEMENTS:
        raise ValueError(f"statement must be one of {', '.join(STATEMENTS)}, got {new.statement!r}")
    if not new.where or not new.where.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"where must be the name of a notebook, without a suffix, got {new.where!r}")
    rows = _open.setdefault(new.where, [])
    # A cell that is run twice replaces its row; a fresh process replaces the notebook's file.
    rows[:] = [row for row in rows if (row.statement, row.claim) != (new.statement, new.claim)] + [new]
    content = []
    for row in rows:
        fields = {name: value for name, value in asdict(row).items() if value not in ("", None)}
        if row.measured is not None:
            fields["measured"] = _as_filed(row)
        content.append(fields)
    text = json.dumps(content, indent=2) + "\n"
    path = folder() / f"{new.where}.json"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        paths.write_atomically(path, text)


def record(
    *,
    statement: str,
    claim: str,
    expected: SupportsFloat,
    measured: SupportsFloat,
    where: str,
    tolerance: float = 0.0,
    relative: bool = False,
    relation: Relation = "equals",
    dropped: str = "",
    because: str = "",
    quiet: bool = False,
) -> None:
    r"""Check a measurement against what a statement predicts, write the row, and print it in one line.

    | relation | passes when |
    |---|---|
    | "equals" | abs(measured - expected) <= tolerance |
    | "at most" | measured <= expected + tolerance |
    | "at least" | measured >= expected - tolerance |

    `relative` makes the tolerance a fraction of abs(expected). `dropped` names an assumption that was left out: then
    the comparison has to fail, which shows that the assumption is needed. `because` says where the tolerance comes
    from. `where` is a notebook without suffix; one that shows its rows in a table of its own is `quiet`.
    Raises: AssertionError when the verdict is not the wanted one; ValueError for an unknown statement or relation.
    """
    if relation not in ("equals", "at most", "at least"):
        raise ValueError(f"relation must be 'equals', 'at most' or 'at least', got {relation!r}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must not be negative, got {tolerance}")
    want, got = float(expected), float(measured)
    margin = tolerance * abs(want) if relative else tolerance
    row = Row(statement, claim, where, want, got, margin, relation, dropped, because)
    _add(row)
    if not row.green:
        raise AssertionError(f"{statement} {claim}: {row.verdict}; {_miss(row)}")
    if not quiet:
        print(f"{statement}  {claim}: {_sentence(row)}; {row.verdict}")


def _miss(row: Row) -> str:
    margin = f" +- {_short(row.tolerance)}" if row.tolerance else ""
    return f"measured {row.measured!r}, wanted {row.relation} {_short(row.expected)}{margin}"


def _sentence(row: Row) -> str:
    """The comparison with no more digits than are the same on every machine."""
    if row.expected is None or row.measured is None:
        return ""
    expected, within = _short(row.expected), f"within {_short(row.tolerance)}"
    bound = expected if row.relation == "equals" else f"{row.relation} {expected}"
    if row.dropped:
        return f"measured {_short(row.measured, 2)}, not {bound}"
    if row.relation != "equals":
        # A measurement on its bound is rounding: its digits differ between machines.
        on_bound = abs(row.measured - row.expected) <= row.tolerance
        return bound if on_bound else f"measured {_short(row.measured, 2)}, {bound}"
    if not row.tolerance:
        return f"{row.measured:.12g}, exactly"
    if abs(row.expected) <= row.tolerance:
        return f"{expected} {within}"
    return f"measured {_to_place(row.measured, row.tolerance)}, expected {expected} {within}"


def cannot_check(*, statement: str, claim: str, reason: str, where: str) -> None:
    """Write the row of a statement that no computation can check, with the reason, and print it."""
    if not reason:
        raise ValueError("reason must say why the statement cannot be checked, got an empty string")
    _add(Row(statement, claim, where, reason=reason))
    print(f"{statement}  {claim}: not checked: {reason}")


def entries() -> list[Row]:
    """All rows on file, by statement in the order of the facts, then by notebook."""
    order = list(STATEMENTS)
    rows = []
    for path in sorted(folder().glob("*.json")):
        rows += [Row(**fields) for fields in json.loads(path.read_text(encoding="utf-8"))]
    return sorted(rows, key=lambda row: (order.index(row.statement), row.where))


def missing() -> list[str]:
    """The statements without a row that measures what they say: with all assumptions, and as it should be."""
    found = {row.statement for row in entries() if row.met and not (row.dropped or row.reason)}
    return [name for name in STATEMENTS if name not in found]


def faults() -> list[str]:
    """What makes the ledger red, one sentence each: wrong rows, unexplained tolerances, statements without a row."""
    wrong = [
        f"{row.statement} {row.claim} ({row.where}): {row.verdict}" for row in entries() if not row.green
    ]
    wrong += [
        f"{row.statement} {row.claim} ({row.where}): does not say where its tolerance comes from"
        for row in entries()
        if row.tolerance and not row.because
    ]
    return wrong + [f"{name} has no row that measures it: {STATEMENTS[name]}" for name in missing()]


def _cells(row: Row) -> list[str]:
    if row.reason:
        expected, measured = "", ""
    else:
        relation = {"equals": "", "at most": "≤\N{NO-BREAK SPACE}", "at least": "≥\N{NO-BREAK SPACE}"}[
            row.relation
        ]
        margin = f"\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{_short(row.tolerance)}" if row.tolerance else ""
        expected, measured = f"{relation}{_short(row.expected)}{margin}", _short(row.measured)
    verdict = row.verdict.removesuffix(", as it must") if row.green else f"**{row.verdict}**"
    chapter = f"{{doc}}`{row.where.split('_')[0]} <notebooks/{row.where}>`"
    return [
        cell.replace("|", "\\|") for cell in (row.claim, expected, measured, verdict, row.because, chapter)
    ]


def _tabulate(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:], ""]


def table() -> str:
    """The page: a summary, then one table for each statement, in MyST Markdown."""
    rows, red = entries(), faults()
    dropped = sum(bool(row.dropped) for row in rows)
    unchecked = sum(bool(row.reason) for row in rows)
    summary = [
        f"The chapters made {len(rows) - dropped - unchecked} measurements of {len(STATEMENTS)} statements, and "
        f"{dropped} more with an assumption left out, which therefore have to fail.",
        f"{unchecked} claims are out of reach of a computation, and say why.",
        "Every statement has a row that measures it and every row is as it should be."
        if not red
        else f"**{len(red)} faults.**",
    ]
    lines = ["# The ledger", "", "\n".join(summary), ""]
    lines += [
        "T statements belong to the main paper {cite}`smets2023pde`, A to {cite}`bellaard2023analysis`, F to the "
        "functional properties {cite}`pai2023functional`, S to semifields {cite}`bellaard2025pdecnns`; D is about the "
        "distance, E about the equation and its splitting, H about homogeneous spaces.",
        "Their boxes say which words and constants are ours.",
        "A value after ± is the tolerance; without one, equality is exact.",
        "The page is red too where a row with a tolerance does not say where that comes from.",
        "The last column is the chapter.",
        "",
    ]
    for name, title in STATEMENTS.items():
        mine = [row for row in rows if row.statement == name]
        lines += [f"## {name}. {title}", "", f"Stated in {{prf:ref}}`{BOXES[name]}`.", ""]
        if mine:
            head = ["claim", "expected", "measured", "verdict", "tolerance from", "in"]
            lines += _tabulate(head, [_cells(row) for row in mine])
        else:
            lines += ["**MISSING**: no notebook has measured this.", ""]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Write the page; the exit status is 1 where a row is wrong or a statement has none."""
    parser = argparse.ArgumentParser(prog="python -m pdegcnn_lib.companion.ledger", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the page to write")
    options = parser.parse_args(arguments)
    paths.write_atomically(options.out, table())
    red = faults()
    print(*red, sep="\n", end="\n" if red else "", file=sys.stderr)
    return 1 if red else 0


if __name__ == "__main__":
    raise SystemExit(main())
