"""The figures that prose states beside the tables, and what the committed results say of them.

`python tools/stated_figures.py` writes the figures of today into the prose; a word such as `ahead` it leaves as it is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from statistics import mean
from typing import Any

from pdegcnn_lib.companion import experiments, paths
from pdegcnn_lib.companion.experiments.comparison import value

VESSELS, VERDICTS = "notebooks/31_vessels.md", "notebooks/36_do_the_claims_hold.md"
DIGITS, README = "notebooks/30_rotated_digits_on_mnist.md", "README.md"
LINES, TUBES = "notebooks/32_lines.md", "notebooks/37_tubes.md"

# The networks that are spoken of, trained for long, the mean over their seeds: experiment, variant, metric.
RUNS = {
    "pde12": ("vessels", "vessels-pdegcnn12", "dice"),
    "pde6": ("vessels", "vessels-pdegcnn6", "dice"),
    "cnn12": ("vessels", "vessels-cnn12-narrow", "dice"),
    "cov6": ("vessels", "vessels-pdegcnn6-covariant", "dice"),
    "cov12": ("vessels", "vessels-pdegcnn12-covariant", "dice"),
    "gcnn6": ("vessels", "vessels-gcnn6-narrow", "dice"),
    "unet": ("vessels", "vessels-unet", "dice"),
    "cnn6_turned": ("vessels-augmented", "vessels-cnn6-narrow-augmented", "dice"),
    "unet_turned": ("vessels-augmented", "vessels-unet-augmented", "dice"),
    "kept_pde6": ("vessels-search", "vessels-pdegcnn6-6000-0.1", "dice"),
    "last_pde6": ("vessels-last", "vessels-pdegcnn6-last", "dice"),
    "kept_unet": ("vessels-search", "vessels-unet-6000-0.01", "dice"),
    "kept_cnn6": ("vessels-search", "vessels-cnn6-narrow-12000-0.01", "dice"),
    "last_cnn6": ("vessels-last", "vessels-cnn6-narrow-last", "dice"),
    "last_unet": ("vessels-last", "vessels-unet-last", "dice"),
    "gcnn12": ("vessels", "vessels-gcnn12-narrow", "dice"),
    "gcnn12_cl": ("vessels", "vessels-gcnn12-narrow", "cldice"),
    "pde12_cl": ("vessels", "vessels-pdegcnn12", "cldice"),
    "observer_cl": ("vessels", "vessels-pdegcnn12", "observer.cldice"),
    "set12": ("vessels-steps", "vessels-pdegcnn12-6000", "dice"),
    "cnn6": ("vessels", "vessels-cnn6-narrow", "dice"),
    "residual": ("vessels-steps", "vessels-pdegcnn12-residual-6000", "dice"),
    "four": ("vessels-search", "vessels-pdegcnn12-1500-0.03", "dice"),
    "four_residual": ("vessels-depth", "vessels-pdegcnn12-residual", "dice"),
    "four_last": ("vessels-depth", "vessels-pdegcnn12-last", "dice"),
    "four_both": ("vessels-depth", "vessels-pdegcnn12-residual-half-time", "dice"),
    "four_covariant": ("vessels-depth", "vessels-pdegcnn12-covariant", "dice"),
    "four_double": ("vessels-depth", "vessels-pdegcnn12-double-time", "dice"),
    "four_all": ("vessels-depth", "vessels-pdegcnn12-no-dropout", "dice"),
    "wide12": ("vessels", "vessels-pdegcnn12-wide", "dice"),
    "wide12_cl": ("vessels", "vessels-pdegcnn12-wide", "cldice"),
    "set_wide": ("vessels-steps", "vessels-pdegcnn12-wide-6000", "dice"),
    "four_wide": ("vessels-depth", "vessels-pdegcnn12-wide", "dice"),
    "four_half": ("vessels-depth", "vessels-pdegcnn12-half-time", "dice"),
    "twice417": ("tubes-search", "tubes-pdegcnn-8x2-6-1200-0.02", "dice"),
    "fourfold417": ("tubes-search", "tubes-pdegcnn-8x2-6-2400-0.02", "dice"),
    "once417": ("tubes-search", "tubes-pdegcnn-8x2-6-600-0.02", "dice"),
    "twicegcnn": ("tubes-search", "tubes-gcnn-8x2-6-1200-0.02", "dice"),
    "oncegcnn": ("tubes-search", "tubes-gcnn-8x2-6-600-0.02", "dice"),
    "fourfold": ("tubes-search", "tubes-cnn-16x4-augmented-2400-0.01", "dice"),
    "eightfold": ("tubes-search", "tubes-cnn-16x4-augmented-4800-0.01", "dice"),
    "twice": ("tubes-search", "tubes-cnn-16x4-augmented-1200-0.01", "dice"),
    "once": ("tubes-search", "tubes-cnn-16x4-augmented-600-0.01", "dice"),
    "lines6": ("lines", "vessels-pdegcnn6-rho_c", "dice"),
    "lines_cnn6": ("lines", "vessels-cnn6-narrow", "dice"),
    "lines_gcnn6": ("lines", "vessels-gcnn6-narrow", "dice"),
    "lines6_b": ("lines", "vessels-pdegcnn6-rho_b", "dice"),
    "lines6_sr": ("lines", "vessels-pdegcnn6-rho_b_sr", "dice"),
    "lines6_com": ("lines", "vessels-pdegcnn6-rho_b_com", "dice"),
    "lines3": ("lines", "vessels-pdegcnn3-rho_c", "dice"),
    "lines_cnn3": ("lines", "vessels-cnn3-narrow", "dice"),
    "lines_gcnn3": ("lines", "vessels-gcnn3-narrow", "dice"),
    "lines12": ("lines", "vessels-pdegcnn12-rho_c", "dice"),
    "lines_cnn12": ("lines", "vessels-cnn12-narrow", "dice"),
    "paper": ("digits-rotated", "digits-pdegcnn", "accuracy"),
    "invariant": ("digits-rotated", "digits-pdegcnn-invariant", "accuracy"),
    "deep": ("digits-rotated", "digits-pdegcnn-invariant-deep", "accuracy"),
    "tried_deep": ("digits-capacity", "digits-pdegcnn-invariant-deep", "accuracy"),
    "tried_wide": ("digits-capacity", "digits-pdegcnn-invariant-wide", "accuracy"),
    "tried": ("digits-capacity", "digits-pdegcnn-invariant-as-it-is", "accuracy"),
    "lenet12000": ("digits-steps", "digits-lenet5-12000", "accuracy"),
    "kept_lenet": ("digits-search", "digits-lenet5-12000-0.01", "accuracy"),
    "last_lenet": ("digits-last", "digits-lenet5-last", "accuracy"),
    "kept_paper": ("digits-search", "digits-pdegcnn-12000-0.03", "accuracy"),
    "last_paper": ("digits-last", "digits-pdegcnn-last", "accuracy"),
    "gcnn_invariant": ("digits-rotated", "digits-gcnn-invariant", "accuracy"),
    "lenet": ("digits-rotated", "digits-lenet5", "accuracy"),
    "invariant_12k": ("digits-rotated-12k", "digits-pdegcnn-invariant", "accuracy"),
    "paper_12k": ("digits-rotated-12k", "digits-pdegcnn", "accuracy"),
    "gcnn_12k": ("digits-rotated-12k", "digits-gcnn", "accuracy"),
    "lenet_12k": ("digits-rotated-12k", "digits-lenet5", "accuracy"),
    "upright": ("digits-upright", "digits-pdegcnn-invariant", "accuracy"),
    "upright_gcnn": ("digits-upright", "digits-gcnn-invariant", "accuracy"),
    "upright_lenet": ("digits-upright", "digits-lenet5", "accuracy"),
    "gcnn": ("digits-rotated", "digits-gcnn", "accuracy"),
}

# Those of the profile `full`: after 600 steps, or on tubes 1 500 where the network has turned volumes.
SHORT = {
    "t417": ("tubes", "tubes-pdegcnn-8x2-6", "dice"),
    "t1889": ("tubes", "tubes-pdegcnn-16x4-6", "dice"),
    "tgcnn": ("tubes", "tubes-gcnn-8x2-6", "dice"),
    "tcnn": ("tubes", "tubes-cnn-8x3", "dice"),
    "tlarge": ("tubes", "tubes-cnn-16x4", "dice"),
    "tturned": ("tubes", "tubes-cnn-16x4-augmented", "dice"),
    "four417": ("tubes-size", "tubes-pdegcnn-8x2-6-4", "dice"),
    "fourgcnn": ("tubes-size", "tubes-gcnn-8x2-6-4", "dice"),
    "fourcnn": ("tubes-size", "tubes-cnn-8x3-4", "dice"),
    **{
        f"{short}{angle}": ("tubes-turned", f"tubes-{network}-upright", f"dice_by_angle.{angle}")
        for short, network in (("p", "pdegcnn-8x2-6"), ("g", "gcnn-8x2-6"), ("c", "cnn-8x3"))
        for angle in (45, 90)
    },
}

# In braces a score in percent, the least or most of its runs, its lead on another, the number of parameters, or of runs
# in words, with the word `run` or `runs` or without it.
WORDS = ("no", "one", "two", "three", "four", "five")
STATED = [
    (VESSELS, "{size pde12} parameters has in {runs pde12} a Dice score of {least pde12} to {most pde12}"),
    (VESSELS, "resolution of the photographs, {pde12} on average."),
    (VESSELS, "The second observer has {observer} there:"),
    (VESSELS, "the U-Net has {unet}, after the 6 000 steps beyond"),
    (VESSELS, "layers and {size pde6} parameters has {pde6} in {runs pde6}, also after"),
    (VESSELS, "ten times the size has {cnn6} after 12 000 steps, in {runs cnn6}: {pde6 - cnn6} percent"),
    (VESSELS, "Among these the PDE-G-CNN is {pde12 - cnn12} percent ahead of the CNN,"),
    (VESSELS, "{size gcnn12} parameters, 27 times as many, it has {gcnn12} after the 6 000 steps"),
    (VESSELS, "of its search, in {runs gcnn12}, and {gcnn12_cl} in clDice: {gcnn12 - pde12} percent ahead"),
    (VERDICTS, "of 27 times its size, is {gcnn12 - pde12} percent ahead of it, on all eight:"),
    (
        VESSELS,
        "With 16 channels the network has {set_wide} after these 6 000 steps, {set_wide - set12} more,",
    ),
    (VESSELS, "12 000 of the search {wide12} in {runs wide12}, {wide12 - pde12} more than with 10."),
    (VESSELS, "{size wide12} parameters, bring it to {wide12} in {runs wide12} and {wide12_cl} in clDice,"),
    (VERDICTS, "With 16 channels and {size wide12} parameters it has {wide12 - pde12} percent more, in"),
    (README, "numbers; with {size wide12} the PDE-G-CNN has {wide12} % in {count wide12}."),
    (README, "A G-CNN of {size gcnn12} has {gcnn12} % in {count gcnn12}, half a percent more"),
    (VESSELS, "in {runs cnn12}, after the 6 000 steps of its search, {cnn12}."),
    (VESSELS, "In {runs cnn6_turned} each, these patches bring the CNN {cnn6_turned - cnn6} percent and"),
    (VESSELS, "percent and the U-Net {unet_turned - unet}."),
    (VESSELS, "usual remedy, bring it {cnn6_turned - cnn6} percent, in {runs cnn6_turned}, and the U-Net"),
    (VESSELS, "run, and the U-Net {unet_turned - unet}."),
    (VESSELS, "After 6 000 steps the PDE-G-CNN has {set12}, in {runs set12}: it is what twice"),
    (VESSELS, "of six layers stays {pde6 - cnn6_turned} percent ahead of this CNN,"),
    (VESSELS, "and that of twelve {pde12 - unet_turned} ahead of this U-Net,"),
    (
        VESSELS,
        "by {kept_pde6 - last_pde6} percent for the PDE-G-CNN, {kept_unet - last_unet} for the U-Net "
        "and {kept_cnn6 - last_cnn6} for the CNN.",
    ),
    (VESSELS, "At six layers it has {cov6} percent in {runs cov6}, {pde6 - cov6} less than the network"),
    (VESSELS, "than the network with $\\rho_c$ in {runs pde6}: no gain,"),
    (VESSELS, "At twelve layers it has {cov12} in {runs cov12}, {pde12 - cov12} less too."),
    (VERDICTS, "It is {pde12 - cnn12} percent ahead of a CNN of its depth and 27 times its size,"),
    (VESSELS, "adding gains {four_residual - four} percent on average over the four, at no parameter,"),
    (VESSELS, "half the time loses {four - four_half} and twice the time {four - four_double}, adding and"),
    (VESSELS, "together gain {four_both - four}, to leave no channels out loses {four - four_all},"),
    (VESSELS, "the covariant estimate loses {four - four_covariant}, 16 channels and so {size four_wide}"),
    (VESSELS, "parameters gain {four_wide - four}, and to keep the last network"),
    (VESSELS, "in place of the mean of those along the way gains {four_last - four}."),
    (VESSELS, "the two are level on the test photographs: {residual} with it and {set12} without."),
    (VERDICTS, "twelve layers and {size pde12} parameters is {pde12 - unet} percent ahead of a U-Net"),
    (VERDICTS, "Behind the U-Net it is {unet - pde6} percent, on all eight too,"),
    (VERDICTS, "It is {pde6 - cnn6} percent ahead of the CNN of its depth and ten times its size,"),
    (VESSELS, "G-CNN* of six layers and ten times the size has {gcnn6} after 12 000 steps, in {runs gcnn6}"),
    (VESSELS, "of its depth, and {pde12 - gcnn6} percent behind that of twelve,"),
    (VERDICTS, "and {pde12 - gcnn6} ahead of a G-CNN of half its depth and nine times its size."),
    (VERDICTS, "PDE-G-CNN of six layers is {gcnn6 - pde6} percent behind the G-CNN of its depth"),
    (VERDICTS, "the network of six layers is {lines6 - lines_cnn6} percent ahead of the CNN"),
    (VERDICTS, "at twelve the CNN of 27 times its size is {lines_cnn12 - lines12} percent ahead:"),
    (VERDICTS, "the invariant head is {invariant - lenet} percent ahead of LeNet-5 with 5 percent of its"),
    (VERDICTS, "and the paper's own, {paper - lenet} percent ahead with 6, is level with it;"),
    (DIGITS, "head reads {invariant} percent of the turned digits with {size invariant} parameters in"),
    (
        DIGITS,
        "parameters in {runs invariant}, the paper's own with {size paper} reads {paper} in {runs paper},",
    ),
    (DIGITS, "it reads {paper_12k} percent of 50 000 others in {runs paper_12k}, and the invariant head"),
    (
        DIGITS,
        "invariant head {invariant_12k} in {runs invariant_12k}, LeNet-5 {lenet_12k} in {count lenet_12k}.",
    ),
    (DIGITS, "The G-CNN reads {gcnn_12k}, in {runs gcnn_12k}: from a fifth of the digits"),
    (DIGITS, "LeNet-5 reads {lenet - lenet_12k} percent less, the G-CNN {gcnn - gcnn_12k},"),
    (DIGITS, "the paper's head {paper - paper_12k} and with the invariant head {invariant - invariant_12k}."),
    (
        DIGITS,
        "that reads {gcnn} percent in {runs gcnn}, {gcnn - paper} more, and was ahead on validation too.",
    ),
    (
        DIGITS,
        "The invariant head reads {invariant - gcnn} percent more still, and {invariant - gcnn_invariant} more than",
    ),
    (DIGITS, "with such a head and {size gcnn_invariant} parameters, in {runs gcnn_invariant}."),
    (VERDICTS, "the invariant one is {invariant - gcnn_invariant} percent ahead."),
    (DIGITS, "the deep one reads {tried_deep} percent, {tried_deep - tried} more than the network as it is."),
    (DIGITS, "The wide one reads {tried_wide}, and has {size tried_wide} parameters where the deep one has"),
    (
        DIGITS,
        "With two more layers, {size deep} parameters in all, the invariant network reads {deep} percent, "
        "in {runs deep}.",
    ),
    (VERDICTS, "the G-CNN of five times its size is {gcnn - paper} percent ahead of the paper's own."),
    (
        DIGITS,
        "which has never seen one turned, reads {upright} percent of the turned digits after 12 000 steps in",
    ),
    (
        DIGITS,
        "in {runs upright}, a G-CNN of eight times its size with such a head {upright_gcnn} in {count upright_gcnn}, "
        "LeNet-5 {upright_lenet} in {count upright_lenet}.",
    ),
    (
        VERDICTS,
        "the network with the invariant head is {upright - upright_lenet} percent ahead of LeNet-5 on",
    ),
    (VERDICTS, "From 12 000 digits the paper's own is {paper_12k - lenet_12k} percent ahead of LeNet-5,"),
    (VERDICTS, "and the invariant head {invariant_12k - lenet_12k};"),
    (VERDICTS, "LeNet-5 on turned digits, and {upright - upright_gcnn} of this G-CNN."),
    (README, "One of {size upright} that has never seen a digit turned reads {upright} % of turned ones,"),
    (README, "where LeNet-5 reads {upright_lenet} %."),
    (DIGITS, "and LeNet-5 with {size lenet} reads {lenet} in {runs lenet}."),
    (DIGITS, "held back LeNet-5 reads {kept_lenet} percent with the mean and {last_lenet} with the last,"),
    (DIGITS, "the paper's PDE-G-CNN {kept_paper} and {last_paper}, at the rates that their searches begin"),
    (DIGITS, "at the 0.01 that its search begins with, LeNet-5 reads {lenet12000} percent after as many."),
    (LINES, "others, by {lines6 - lines6_b}, {lines6 - lines6_sr} and {lines6 - lines6_com} percent: the"),
    (LINES, "With three layers and {size lines3} parameters the PDE-G-CNN has {lines3} percent,"),
    (LINES, "hardly find the lines: {lines_cnn3} and {lines_gcnn3}."),
    (LINES, "With six layers it has {lines6}, {lines6 - lines_cnn6} more than the CNN of"),
    (LINES, "G-CNN of ten times its size, which has {lines_gcnn6}."),
    (
        LINES,
        "the PDE-G-CNN has {lines12}, less than with six, and the CNN of 27 times its size {lines_cnn12};",
    ),
    (LINES, "ahead of the three others, by {lines6 - lines6_b} to {lines6 - lines6_sr} percent."),
    (
        TUBES,
        "on four volumes it is {four417 - fourcnn} percent behind the PDE-G-CNN, on all of them {t417 - tcnn}.",
    ),
    (
        TUBES,
        "its lead on the PDE-G-CNN, which has an eleventh of its parameters, is {fourgcnn - four417} percent",
    ),
    (TUBES, "The CNN has {c45} percent left at 45 degrees and {c90} at 90;"),
    (TUBES, "the PDE-G-CNN has {p45} and {p90}, the G-CNN {g45} and {g90}."),
    (TUBES, "Twice the steps bring the PDE-G-CNN of {size once417} parameters {twice417 - once417} percent"),
    (TUBES, "the G-CNN {twicegcnn - oncegcnn} and the CNN with turned volumes {twice - once}."),
    (TUBES, "doubling brings the PDE-G-CNN {fourfold417 - twice417} more and the CNN {fourfold - twice},"),
    (TUBES, "a third the CNN {eightfold - fourfold}: it still gains"),
    (TUBES, "after 1 200 it is {twice - twice417} percent ahead and after 2 400 {fourfold - fourfold417}:"),
    (TUBES, "with its {size once} it learns more slowly"),
    (
        TUBES,
        "with {size t1889} it finds as much of the tubes as a CNN of {size tturned} that had turned volumes",
    ),
    (README, "a PDE-G-CNN of {size pde12} parameters has a Dice score of {pde12} %"),
    (README, "the mean of {runs pde12}, a U-Net of {size unet} has {unet} % in {count unet},"),
    (README, "and the second human observer {observer} %, who is ahead in clDice."),
    (README, "On turned digits of MNIST one of {size deep} parameters reads {deep} %, in {runs deep},"),
    (README, "and LeNet-5 with {size lenet} reads {lenet} % in {count lenet}."),
    (
        VESSELS,
        "the second observer has {observer_cl} and the network {pde12_cl}, more than any other here but the",
    ),
]


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
    return f"{100 * (score(first) - (score(rest.removeprefix('- ')) if rest else 0)):.1f}"


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
