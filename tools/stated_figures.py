"""The figures that prose states beside the tables, and what the committed results say of them.

`python tools/stated_figures.py` writes the figures of today into the prose; a word such as `ahead` it leaves as it is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from statistics import mean
from typing import Any

from stated_sentences import RUNS, SHORT, STATED

from pdegcnn_lib.companion import experiments, paths
from pdegcnn_lib.companion.experiments.comparison import value

WORDS = ("no", "one", "two", "three", "four", "five")


@functools.cache
def records(name: str) -> list[dict[str, Any]]:
    experiment, variant, _ = {**RUNS, **SHORT}[name]
    found = experiments.committed_results(experiment, "full" if name in SHORT else "long")
    return [r for r in found if r["variant"] == variant]


def scores(name: str) -> list[float]:
    return [value(record, {**RUNS, **SHORT}[name][2]) for record in records(name)]


def score(name: str) -> float:
    if name == "observer":
        return value(records("pde12")[0], "observer.dice")
    return mean(scores(name))


def figure(asked: str) -> str:
    first, _, rest = asked.partition(" ")
    if first == "size":
        return f"{records(rest)[0]['parameters']:,}".replace(",", " ")
    if first in ("count", "runs"):
        number = len(records(rest))
        return WORDS[number] + {"count": "", "runs": " run" if number == 1 else " runs"}[first]
    if first in ("least", "most"):
        return f"{100 * (min if first == 'least' else max)(scores(rest)):.1f}"
    found = 100 * (score(first) - (score(rest.removeprefix("- ")) if rest else 0))
    return f"{found:.1f}".replace("-", "\u2212")


def pieces(sentence: str) -> Iterator[tuple[bool, str]]:
    """The parts of a sentence in their order, each with whether it asks for a figure."""
    for k, piece in enumerate(re.split("[{}]", sentence)):
        yield bool(k % 2), piece


def written(sentence: str) -> str:
    """A sentence with the figures of the results."""
    return "".join(figure(piece) if asks else piece for asks, piece in pieces(sentence))


def restated(prose: str, sentence: str) -> str:
    """Prose with the figures of today in one of its sentences, wherever its lines break.

    Raises: ValueError where the sentence is not there, or more than once.
    """
    number = "|".join([rf"(?:{'|'.join(WORDS)})(?:\s+runs?\b)?", r"\u2212?\d(?:[\d\s]*\d)?(?:\.\d+)?"])
    pattern = "".join(
        f"({number})" if asks else re.sub(r"(\\ )+", r"\\s+", re.escape(piece))
        for asks, piece in pieces(sentence)
    )
    found = list(re.finditer(pattern, prose))
    if len(found) != 1:
        raise ValueError(
            f"the sentence must stand there once, it stands there {len(found)} times: {sentence}"
        )
    asked = [piece for asks, piece in pieces(sentence) if asks]
    for k, piece in reversed(list(enumerate(asked, start=1))):
        begin, end = found[0].span(k)
        new = figure(piece).replace(" ", "\u202f" if "\u202f" in prose[begin:end] else " ")
        prose = prose[:begin] + new + prose[end:]
    return prose


def main() -> None:
    for place, sentence in STATED:
        path = paths.root() / place
        prose = path.read_text(encoding="utf-8")
        if (new := restated(prose, sentence)) != prose:
            paths.write_atomically(path, new.encode())
            print(f"{place}: {written(sentence)}")


if __name__ == "__main__":
    main()
