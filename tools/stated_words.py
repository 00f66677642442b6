"""The words of the book that stand for verdicts on results: a test holds them against those of today."""

from __future__ import annotations

from stated_sentences import DIGITS, VERDICTS, VESSELS

# Words that stand for a verdict on two networks trained for long: experiment, ours, the rival, what the claim does.
PDE, HEAD = "digits-pdegcnn", "digits-pdegcnn-invariant"
TWELVE = ("vessels", "vessels-pdegcnn12")
SAID = [
    (DIGITS, "the invariant head and for the paper's own.", "digits-rotated", PDE, "digits-lenet5", "holds"),
    (
        DIGITS,
        "holds, with time, for the invariant head and",
        "digits-rotated",
        HEAD,
        "digits-lenet5",
        "holds",
    ),
    (DIGITS, "of 12 700, the paper's own fails:", "digits-rotated", PDE, "digits-gcnn", "fails"),
    (DIGITS, "the paper's own is ahead of LeNet-5 too:", "digits-rotated-12k", PDE, "digits-lenet5", "holds"),
    (DIGITS, "the paper's own is level with it.", "digits-rotated-12k", PDE, "digits-gcnn", "level"),
    (VERDICTS, "and the paper's own, with 6, is", "digits-rotated", PDE, "digits-lenet5", "holds"),
    (
        VERDICTS,
        "with the G-CNN the paper's own is level there.",
        "digits-rotated-12k",
        PDE,
        "digits-gcnn",
        "level",
    ),
    (
        VERDICTS,
        "its depth and ten times its size, and level with it.",
        "vessels",
        "vessels-pdegcnn6",
        "vessels-gcnn6-narrow",
        "level",
    ),
    (
        VERDICTS,
        "and is level with this G-CNN of fourteen times its size.",
        "vessels",
        "vessels-pdegcnn12-wide",
        "vessels-gcnn12-narrow",
        "level",
    ),
    (VERDICTS, "on all eight: there the claim fails.", *TWELVE, "vessels-gcnn12-narrow", "fails"),
]

# The 95 % interval of a network minus the second observer, child by child.
APART = [
    (VESSELS, "with an interval of {} over the four children:", "vessels-pdegcnn12"),
    (VESSELS, "on five of the eight, with an interval of {}.", "vessels-gcnn12-narrow"),
    (VERDICTS, "it cannot be told apart in Dice: {}.", "vessels-pdegcnn12"),
]

# On how many of the eight photographs a network is ahead of another or, without a name, of the second observer.
WON = [
    (VESSELS, "a human on five of the eight photographs,", "vessels-pdegcnn12", "", 5),
    (VESSELS, "in Dice, on five of the eight, with an", "vessels-gcnn12-narrow", "", 5),
    (
        VESSELS,
        "Of thirteen times its size, it is behind on all eight;",
        "vessels-pdegcnn12",
        "vessels-unet",
        8,
    ),
    (VESSELS, "percent less, on all eight photographs.", "vessels-pdegcnn6", "vessels-cnn6-narrow", 8),
    (
        VESSELS,
        "its parameters and is ahead on all eight photographs.",
        "vessels-pdegcnn12",
        "vessels-gcnn6-narrow",
        8,
    ),
    (VESSELS, "of its depth, on all eight photographs;", "vessels-gcnn12-narrow", "vessels-pdegcnn12", 8),
    (VERDICTS, "on all eight photographs, with an interval that", "vessels-pdegcnn12", "vessels-unet", 8),
    (VESSELS, "ahead of these six layers, on all eight photographs;", "vessels-unet", "vessels-pdegcnn6", 8),
    (
        VESSELS,
        "So the channels help, on all eight photographs,",
        "vessels-pdegcnn12-wide",
        "vessels-pdegcnn12",
        8,
    ),
    (VERDICTS, "27 times its size, on all eight, and", "vessels-pdegcnn12", "vessels-cnn12-narrow", 8),
    (VERDICTS, "percent, on all eight too, but by", "vessels-unet", "vessels-pdegcnn6", 8),
]
