"""The figures that prose states beside the tables, by hand, are those of the committed results."""

import functools

import pytest

from pdegcnn_lib.companion import experiments, paths

VESSELS, VERDICTS = "notebooks/31_vessels.md", "notebooks/36_do_the_claims_hold.md"
DIGITS, README = "notebooks/30_rotated_digits_on_mnist.md", "README.md"

# The runs that are spoken of, each of seed 0 and trained for long: experiment, variant, metric.
RUNS = {
    "pde12": ("vessels-steps", "vessels-pdegcnn12-6000", "dice"),
    "pde6": ("vessels-steps", "vessels-pdegcnn6-6000", "dice"),
    "unet": ("vessels-steps", "vessels-unet-6000", "dice"),
    "cnn6": ("vessels-steps", "vessels-cnn6-narrow-6000", "dice"),
    "residual": ("vessels-steps", "vessels-pdegcnn12-residual-6000", "dice"),
    "early_pde12": ("vessels", "vessels-pdegcnn12", "dice"),
    "early_pde6": ("vessels", "vessels-pdegcnn6", "dice"),
    "early_unet": ("vessels", "vessels-unet", "dice"),
    "early_cnn6": ("vessels", "vessels-cnn6-narrow", "dice"),
    "four": ("vessels-search", "vessels-pdegcnn12-1500-0.03", "dice"),
    "four_residual": ("vessels-depth", "vessels-pdegcnn12-residual", "dice"),
    "four_half": ("vessels-depth", "vessels-pdegcnn12-half-time", "dice"),
    "paper": ("digits-rotated", "digits-pdegcnn", "accuracy"),
    "invariant": ("digits-rotated", "digits-pdegcnn-invariant", "accuracy"),
    "lenet": ("digits-rotated", "digits-lenet5", "accuracy"),
}

# In braces a score in percent, its lead on another, or the number of parameters.
STATED = [
    (VESSELS, "twelve layers and {size pde12} parameters has a Dice score of {pde12} at the resolution"),
    (VESSELS, "a U-Net of twelve times its size {unet}: level"),
    (VESSELS, "That of six layers and {size pde6} parameters has {pde6}, behind both"),
    (VESSELS, "a CNN of six layers and ten times the size {cnn6}, behind all three"),
    (VESSELS, "The second observer has {observer}, so the larger network falls short"),
    (VESSELS, "twelve layers have gained {pde12 - early_pde12} percent, six layers {pde6 - early_pde6},"),
    (VESSELS, "the U-Net {unet - early_unet} and the CNN {cnn6 - early_cnn6},"),
    (VESSELS, "adding gains {four_residual - four} percent on average over the four, at no parameter,"),
    (VESSELS, "half the time loses {four - four_half}."),
    (VESSELS, "the two are level on the test photographs: {residual} with it and {pde12} without."),
    (VERDICTS, "The one of six layers is {pde6 - cnn6} percent ahead of that CNN after 6 000 steps"),
    (VERDICTS, "the paper's network is {paper - lenet} percent ahead of LeNet-5"),
    (VERDICTS, "and with the invariant head {invariant - lenet}."),
    (
        DIGITS,
        "the invariant head and its {size invariant} parameters reads {invariant} percent of the turned digits",
    ),
    (DIGITS, "the paper's own with {size paper} reads {paper}, and LeNet-5 with {size lenet} reads {lenet}."),
    (README, "a PDE-G-CNN of {size pde12} parameters has a Dice score of {pde12} %"),
    (README, "a U-Net of {size unet} has {unet} %, and the second human observer {observer} %"),
]


@functools.cache
def record(name: str) -> dict:
    experiment, variant, _ = RUNS[name]
    found = experiments.committed_results(experiment, "long")
    [one] = [r for r in found if r["variant"] == variant and r["seed"] == 0]
    return one


def score(name: str) -> float:
    if name == "observer":
        return record("pde12")["metrics"]["observer"]["dice"]
    return record(name)["metrics"][RUNS[name][2]]


def figure(asked: str) -> str:
    first, _, rest = asked.partition(" ")
    if first == "size":
        return f"{record(rest)['parameters']:,}".replace(",", " ")
    return f"{100 * (score(first) - (score(rest.removeprefix('- ')) if rest else 0)):.1f}"


def written(sentence: str) -> str:
    pieces = sentence.replace("}", "{").split("{")
    return "".join(figure(piece) if k % 2 else piece for k, piece in enumerate(pieces))


@pytest.mark.parametrize(("place", "sentence"), STATED)
def test_figures_in_prose_are_those_of_the_results(place, sentence):
    prose = " ".join((paths.root() / place).read_text().split())
    assert written(sentence) in prose
