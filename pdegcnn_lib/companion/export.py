"""A trained network written down for other programs: as ONNX, or as a program of `torch.export`."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pdegcnn_lib import __version__
from pdegcnn_lib.companion import paths, segment
from pdegcnn_lib.companion.data import DataError, Preparation
from pdegcnn_lib.companion.data.fundus import SIGMA
from pdegcnn_lib.nn import CakeLift, Lift, frozen

SMALLEST = 8  # pixels of a side: a lift mirrors 3 of them
INPUT, OUTPUT = "image", "logit"


def smallest(network: torch.nn.Module) -> int:
    """The pixels of a side that a network takes at least: a lift mirrors half of its kernels."""
    lifts = (layer for layer in network.modules() if isinstance(layer, (Lift, CakeLift)))
    return max([SMALLEST, *(lift.size // 2 + 1 for lift in lifts)])


def description(record: dict[str, Any], least: int = SMALLEST) -> dict[str, str]:
    """What a reader of the file must know: how pictures are prepared for the network, and what it says.

    `record` is the result of the network, `least` what `smallest` says of it.
    Raises: DataError for one that says nothing about its preparation, or does not say what it is.
    """
    said = ("experiment", "variant", "seed", "digest", "model", "options", "in_channels", "parameters")
    if left_out := [name for name in said if name not in record]:
        raise DataError(f"the record of the network says nothing of its {', '.join(left_out)}")
    if "preparation" not in record:
        raise DataError(f"{record['variant']} does not say how pictures were prepared for it")
    how = Preparation(**record["preparation"])
    if how.field_diameter is None:
        prepared = {"scale": "1", "normalisation": "none: grey values in [0, 1]"}
    else:
        prepared = {
            "scale": f"the field of view of the eye is {how.field_diameter:g} pixels wide",
            "normalisation": "mean 0 and deviation 1 of the surroundings of every pixel: a Gaussian of "
            f"{SIGMA:g} pixels inside the field of view; 0 outside of it",
        }
    return {
        "network": record["model"],
        "options": json.dumps(record["options"]),
        "input": f"{INPUT}: [batch, {record['in_channels']}, height, width], float32, sides of {least} at least",
        "output": f"{OUTPUT}: [batch, 1, height, width]; its sigmoid is the probability of a vessel or line",
        "mode": how.mode,
        **prepared,
        "threshold": str(segment.threshold(record)),
        "parameters": str(record["parameters"]),
        "data": how.data,
        "source": f"{record['experiment']}/{record['variant']}, seed {record['seed']}, {record['digest']}",
        "version": f"pdegcnn {__version__}",
    }


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporters of torch say about themselves."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            yield
    finally:
        log.setLevel(level)


def program(network: torch.nn.Module, channels: int) -> torch.export.ExportedProgram:
    """A network on images as a program of operators of torch alone, for any batch and any size of a few pixels."""
    least = smallest(network)
    free = {
        0: torch.export.Dim("batch"),
        2: torch.export.Dim("height", min=least),
        3: torch.export.Dim("width", min=least),
    }
    some = torch.rand(2, channels, 2 * least, 3 * least)
    exported = torch.export.export(frozen(network), (some,), dynamic_shapes=(free,), strict=False)
    for node in exported.graph.nodes:
        node.meta.pop("stack_trace", None)  # where this library lies on this machine is nobody's business
    return exported


def _pt2(exported: torch.export.ExportedProgram, said: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(exported, buffer, extra_files={"description.json": json.dumps(said, indent=1)})
    return buffer.getvalue()


def _onnx(exported: torch.export.ExportedProgram, said: dict[str, str]) -> bytes:
    options: dict[str, Any] = {"input_names": [INPUT], "output_names": [OUTPUT], "verbose": False}
    written = torch.onnx.export(exported, dynamo=True, **options)
    assert written is not None
    for node in written.model.graph:
        node.metadata_props.clear()  # three quarters of the file
    written.model.metadata_props.update(said)
    return written.model_proto.SerializeToString()


FORMATS: dict[str, Callable[[torch.export.ExportedProgram, dict[str, str]], bytes]] = {
    ".onnx": _onnx,
    ".pt2": _pt2,
}


def export(result: Path, out: Path, *, force: bool = False) -> Path:
    """Write the network of a result to `out`, whose suffix says as what, with `description` as its metadata.

    The file is whole or not there. Raises: ValueError for another suffix, OSError where `out` is there already and not
    `force` or nothing can be written there, DataError for a network on volumes or without a preparation;
    ModuleNotFoundError without the packages of ONNX.
    """
    if out.suffix not in FORMATS:
        raise ValueError(f"the name of the file must end in {' or '.join(FORMATS)}, got {str(out)!r}")
    paths.check_replaceable(out, force=force)
    if out.suffix == ".onnx":
        try:
            import onnxscript  # noqa: F401
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("an export to ONNX needs: pip install 'pdegcnn[export]'") from error
    network, record = segment.load(result)
    segment.refuse_volumes(record, "export writes")
    said = description(record, smallest(network))
    with _quietly():
        content = FORMATS[out.suffix](program(network, record["in_channels"]), said)
    return paths.write_atomically(out, content)
