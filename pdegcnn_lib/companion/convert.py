"""A checkpoint of LieTorch written down for a network of this library."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pdegcnn_lib import __version__, models
from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data import DataError
from pdegcnn_lib.companion.experiments.config import once
from pdegcnn_lib.models.lietorch import lietorch_state_dict


def convert(
    checkpoint: Path,
    out: Path,
    model: str,
    *,
    lietorch: str,
    channels: int = 1,
    options: Iterable[tuple[str, str]] = (),
    force: bool = False,
) -> list[str]:
    """Write the state dict that `lietorch_state_dict` makes of a checkpoint to a safetensors file; what to know of it.

    `lietorch` is the version there; `model`, `channels` of the image and `options`, whose values are JSON or words, are
    those of the same network here, and stand in the metadata of the file. The file is whole or not there.
    Raises: ValueError where the checkpoint is not whole or the two networks are not the same function, DataError where
    there is no checkpoint, OSError where `out` is there already and not `force` or nothing can be written there.
    """
    from safetensors.torch import save

    if out.suffix != ".safetensors":
        raise ValueError(f"the name of the file must end in .safetensors, got {str(out)!r}")
    if not checkpoint.is_file():
        known = "is no file" if checkpoint.exists() else "is not there"
        raise DataError(f"there is no checkpoint {checkpoint}: it {known}")
    paths.check_replaceable(out, force=force)
    chosen = once("option", ((name, _value(text)) for name, text in options))
    try:
        network = models.build(model, channels, **chosen)
    except TypeError as error:  # what was asked for on the command line is of the wrong kind
        raise ValueError(str(error)) from error
    found = lietorch_state_dict(checkpoint, network, version=lietorch)
    network.load_state_dict(found.state_dict)
    dead = [f"dead since the ReLU there: channels {of} of {metric}" for metric, of in found.dead.items()]
    said = {
        "network": model,
        "channels": str(channels),
        "options": json.dumps(chosen),
        "source": f"LieTorch {lietorch}",
        "remarks": json.dumps([*dead, *found.notes]),
        "version": f"pdegcnn {__version__}",
    }
    paths.write_atomically(out, save(network.state_dict(), metadata=said))
    return [*dead, *found.notes]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
