"""Docstrings in Markdown for autodoc, which reads reStructuredText.

The library's docstrings use four things: `code` in single backticks, $formulas$, $$displayed formulas$$ and lists with
a dash. A paragraph may be indented for the eye; here each one starts at the margin.
"""

from __future__ import annotations

import re
import textwrap

LIST_ITEM = re.compile(r"\s*[-*] ")
# One pass, so that code is never searched for formulas nor a formula for code.
INLINE = re.compile(r"``(?P<double>.+?)``|`(?P<code>[^`]+)`|\$(?P<math>[^$]+)\$", re.DOTALL)


def inline(text: str) -> str:
    """One paragraph with its code, formulas and special characters as reStructuredText."""
    out, end = [], 0
    for match in INLINE.finditer(text):
        out.append(escape(text[end : match.start()]))
        code = match["double"] or match["code"]
        out.append(f":math:`{' '.join(match['math'].split())}`" if match["math"] else f"``{code}``")
        end = match.end()
        if text[end : end + 1].isalnum():
            out.append("\\ ")  # markup must end at a word boundary
    out.append(escape(text[end:]))
    return "".join(out)


def escape(text: str) -> str:
    bold = re.split(r"(\*\*[^*\n]+\*\*)", text)
    return "".join(
        p
        if p.startswith("**") and p.endswith("**") and len(p) > 4
        else re.sub(r"([\\*|]|_(?=\W|$))", r"\\\1", p)
        for p in bold
    )


def to_rst(lines: list[str]) -> list[str]:
    """The lines of a Markdown docstring as reStructuredText."""
    out: list[str] = []
    for block in re.split(r"\n\s*\n", "\n".join(lines)):
        if not block.strip():
            continue
        formula = re.fullmatch(r"\s*\$\$(.+?)\$\$\s*", block, re.DOTALL)
        if formula:
            out += [
                ".. math::",
                "",
                *textwrap.indent(textwrap.dedent(formula[1].strip()), "   ").split("\n"),
                "",
            ]
            continue
        rows = block.split("\n")
        if all(row.lstrip().startswith(">>>") or not row.strip() for row in rows[:1]):
            out += [*textwrap.dedent(block).split("\n"), ""]
            continue
        items: list[str] = []
        for row in rows:
            if LIST_ITEM.match(row) or not items:
                items.append(row.strip())
            else:
                items[-1] += " " + row.strip()
        if any(LIST_ITEM.match(item) for item in items[1:]) and not LIST_ITEM.match(items[0]):
            items.insert(1, "")
        out += ["- " + inline(item[2:]) if LIST_ITEM.match(item) else inline(item) for item in items] + [""]
    return out


def process_docstring(_app, _what, _name, _obj, _options, lines: list[str]) -> None:
    lines[:] = to_rst(lines)


def process_signature(_app, _what, _name, _obj, _options, signature, returns):
    """Autodoc leaves its own mark for a short name, a tilde, in the types of a dataclass's fields."""
    return tuple(re.sub(r"~(?:\w+\.)*(\w+)", r"\1", text) if text else text for text in (signature, returns))


def setup(app):
    app.connect("autodoc-process-docstring", process_docstring)
    app.connect("autodoc-process-signature", process_signature)
    return {"parallel_read_safe": True}
