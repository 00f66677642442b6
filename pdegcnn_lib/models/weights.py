"""The trained networks of the book that an installed package carries, each with a card made from its result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pdegcnn_lib.models.registry import build, entry

PACKAGE = Path(__file__).resolve().parents[1]

# Name -> the result of the network below `results/`, with its weights beside it; pyproject.toml puts them into a wheel.
TRAINED = {
    "vessels-pdegcnn12-wide": "vessels/long/vessels-pdegcnn12-wide-seed0-2c791fae3f5c",
    "vessels-pdegcnn12": "vessels/long/vessels-pdegcnn12-seed0-dd927b281b5c",
    "vessels-pdegcnn6": "vessels/long/vessels-pdegcnn6-seed0-c2e4ff778a59",
    "vessels-cnn6-narrow": "vessels/long/vessels-cnn6-narrow-seed0-622f682efdc8",
    "vessels-unet": "vessels/long/vessels-unet-seed0-c9c90caf7e26",
    "digits-pdegcnn": "digits-rotated/long/digits-pdegcnn-seed0-166bfb60b8d0",
    "digits-pdegcnn-invariant": "digits-rotated/long/digits-pdegcnn-invariant-seed0-3958f9dd5d0b",
    "digits-pdegcnn-invariant-deep": "digits-rotated/long/digits-pdegcnn-invariant-deep-seed0-4be76a647a1f",
    "lines-pdegcnn3": "lines/full/vessels-pdegcnn3-rho_c-seed0-9c81a23cb5f6",
    "tubes-pdegcnn": "tubes/full/tubes-pdegcnn-8x2-6-seed0-3a7619221d14",
}

# What a result does not say of its data: the split, the licence, and what a network trained on it is not for.
DATA = {
    "vessels": (
        "CHASE_DB1 (Kingston University London), at half its resolution: the first 20 of 28 photographs for training, "
        "the last 8 for test",
        "weights MIT, as the code; data CC BY 4.0",
        "One camera and the eyes of children: nothing is measured here on other cameras or on diseased eyes. "
        "Not a medical device.",
    ),
    "digits": (
        "MNIST, every image turned once by a random angle: 60 000 for training, 10 000 for test",
        "weights MIT, as the code; data CC BY-SA 3.0",
        "Grey digits of 28 x 28 pixels alone, in the middle of the image.",
    ),
    "lines": (
        "Dashes along smooth curves among others, which the library draws (`companion.data.lines`): "
        "seeds of training and of test do not meet",
        "weights MIT, as the code; the data are made by it",
        "Drawn dashes alone, of one length, width and pitch.",
    ),
    "tubes": (
        "Branching tubes that the library draws (`companion.data.tubes`): seeds of training and of test do not meet",
        "weights MIT, as the code; the data are made by it",
        "Drawn volumes alone: nothing is known of its scores on microscopes.",
    ),
}
# The order in which a card gives the scores of a result.
SCORES = ("dice", "cldice", "auc", "accuracy", "sensitivity", "specificity", "accuracy_upright", "threshold")


def place(name: str, suffix: str) -> Path:
    """The file of a trained network: in a checkout the committed result, in an installed package its copy."""
    if name not in TRAINED:
        raise ValueError(f"name must be one of {', '.join(TRAINED)}, got {name!r}")
    for stem in (PACKAGE.parent / "results" / TRAINED[name], PACKAGE / "trained" / name):
        file = stem.with_name(stem.name + suffix)
        if file.is_file():
            return file
    raise FileNotFoundError(f"the weights of {name} are not beside or inside {PACKAGE}: install the wheel")


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file of float32 and int64, which is all that a network of this library holds.

    Source: the format's own description: the length of a header, the header as JSON, the numbers one after the other.
    """
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    kinds: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}
    found: dict[str, Tensor] = {}
    for name, about in json.loads(content[8:start]).items():
        if name != "__metadata__":
            begin, end = (start + n for n in about["data_offsets"])
            numbers = np.frombuffer(content[begin:end], kinds[about["dtype"]]).reshape(about["shape"])
            found[name] = torch.from_numpy(numbers.copy())
    return found


def record(name: str) -> dict[str, Any]:
    """The result of the training of a network in `trained_names()`. Raises: ValueError for another."""
    return json.loads(place(name, ".json").read_text(encoding="utf-8"))


def trained_names() -> list[str]:
    """The names that `trained` takes."""
    return list(TRAINED)


def trained(name: str) -> nn.Module:
    """A trained network of the book, in evaluation mode, without a download.

    Its images must be prepared as those of its training, see `card(name)`; `pdegcnn segment` does it.
    Raises: ValueError for a name that is not in `trained_names()`, FileNotFoundError in a package without weights.
    """
    said = record(name)
    network = build(said["model"], said["in_channels"], **said["options"])
    network.load_state_dict(read_weights(place(name, ".safetensors")))
    return network.eval()


def card(name: str) -> str:
    """The card of a trained network, in Markdown: what it is, its data, training, scores, licence and limits."""
    said = record(name)
    split, licence, limits = DATA[said["experiment"].split("-")[0]]
    settings, how = said["training"], said.get("preparation")
    scores = {key: said["metrics"][key] for key in SCORES if key in said["metrics"]}
    prepared = "grey values in [0, 1]"
    if how is not None and how["field_diameter"] is not None:
        prepared = (
            f"the {how['mode']} channel, the eye {how['field_diameter']:g} pixels wide, "
            "every pixel relative to the mean and deviation of its surroundings"
        )
    elif how is not None and how["mode"] == "volume":
        prepared = "grey values of mean {:.3f} and standard deviation {:.3f}".format(*how["levels"])
    turned = said["quarter_turn_error"]
    options = "".join(f", {key} {value}" for key, value in said["options"].items())
    rows = {
        "Network": f"{entry(said['model']).summary}{options}; {said['parameters']} parameters",
        "Input": f"{said['in_channels']} channel(s): {prepared}",
        "Data": split,
        "Training": f"{settings['steps']} steps of {settings['batch_size']} images, seed {said['seed']}; "
        f"{said['training_seconds'] / 60:.1f} minutes on {said['device']}",
        "Scores on the test images": ", ".join(
            f"{key.replace('_', ' ')} {value:.3f}" for key, value in scores.items()
        ),
        "Error of a quarter turn": "its grid has no exact turn" if turned is None else f"{turned:.1e}",
        "Licence": licence,
        "Limits": limits,
        "Result": f"`results/{TRAINED[name]}.json`",
    }
    lines = [f"| {key} | {value} |" for key, value in rows.items()]
    return "\n".join([f"### {name}", "", "| | |", "|---|---|", *lines, ""])
