"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with the first column to the left and the others to the right."""
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"every row must have {len(head)} cells as the head has, got {list(row)}")
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def thousands(count: int) -> str:
    """A whole number with thin spaces between thousands, as the book prints them."""
    return f"{count:,}".replace(",", "\u202f")


def signed(share: float) -> str:
    """A difference of shares in percent with its sign, which is a minus and no hyphen: `+1.2`, `−0.3`."""
    return f"{100 * share:+.1f}".replace("-", "\u2212")
