"""A trained network applied to a reader's own pictures or volumes: masks and probabilities, one file after another."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib import models
from pdegcnn_lib.companion import paths, pictures, stacks
from pdegcnn_lib.companion.data import DataError, Preparation, fundus
from pdegcnn_lib.companion.data.chase import FIELD_DIAMETER
from pdegcnn_lib.companion.data.vesselnn import cubic, cubic_shape
from pdegcnn_lib.companion.experiments import load_model, read_result
from pdegcnn_lib.companion.pictures import read
from pdegcnn_lib.memory import keep_freed_memory
from pdegcnn_lib.models.tiling import apply_tiled

__all__ = ["load", "natural_scale", "prepare", "probability", "read", "run", "stems", "threshold", "write"]

DEFAULT_MODEL = "vessels/vessels-pdegcnn12-wide"
VOLUME_MODEL = "tubes/tubes-pdegcnn-8x2-6"
OVERLAY = (230, 159, 0)  # the orange of the book's figures
LARGEST_SCALE = 8
SMALLEST = 8  # pixels of a side that a network is shown
NEAR = 0.01  # a scale that is so near to 1/n counts as 1/n
CORE = 512  # pixels of a tile's side: bounds the memory, changes nothing else
VOLUME_CORE = 48  # voxels of that of a volume


def natural_scale(field: Tensor, wanted: float = FIELD_DIAMETER) -> float:
    """The factor that brings the eye in a photograph to `wanted` pixels across; 1 for a picture without a frame.

    Raises: DataError for a field so small that it is no eye.
    """
    if field.all():
        return 1.0
    diameter = 2 * math.sqrt(int(field.sum()) / math.pi)
    if diameter * LARGEST_SCALE < wanted:
        raise DataError(
            f"no eye is found: what is bright in the picture is {diameter:.0f} pixels wide, an eye has "
            f"{wanted / LARGEST_SCALE:.0f} at least; --scale takes it for one"
        )
    return wanted / diameter


def load(result: Path) -> tuple[nn.Module, dict[str, Any]]:
    """A trained network with the record of its training, as `probability` takes them.

    Raises: DataError for a record that does not say how pictures are prepared, or says it in other words than these.
    """
    model, record = load_model(result), read_result(result)
    try:
        _preparation(record)
        if not 0 <= threshold(record) <= 1:
            raise ValueError(f"threshold must be from 0 to 1, got {threshold(record)}")
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{result} does not describe a network for pictures: {error}") from error
    return model, record


def refuse_volumes(record: Mapping[str, Any], does: str) -> None:
    """Raise DataError for a network on volumes, and say what is done to networks on images: `view shows`."""
    if models.entry(record["model"]).space in ("M3", "Volume"):
        raise DataError(f"{record['model']} is a network on volumes; {does} networks on images")


def prepare(record: Mapping[str, Any], rgb: Tensor, *, scale: float | None = None) -> tuple[Tensor, Tensor]:
    """A picture as a network was shown its training images, and the field of view: `[3, H, W]` -> two tensors.

    The picture is brought to the scale of training (`scale`; by default `natural_scale` for an eye, 1 without one):
    `[Cin, H', W']`. A scale within a hundredth of 1/n is taken for 1/n: then a pixel is the mean of n x n whole ones as
    in training, which leaves out what of H and W is no multiple of n. The field `[H, W]` stays at the size of the
    picture. `record` is the result of the network, whose `preparation` is followed. Raises: DataError for a network
    that says nothing about it.
    """
    return _prepare(record, rgb, scale)[:2]


def _prepare(
    record: Mapping[str, Any], rgb: Tensor, scale: float | None
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """What `prepare` returns, and the rows and columns of the picture that it shows."""
    how = _preparation(record)
    diameter = how.field_diameter
    field = torch.ones(rgb.shape[1:], dtype=torch.bool) if diameter is None else fundus.field_of_view(rgb)
    factor = scale if scale is not None else 1.0 if diameter is None else natural_scale(field, diameter)
    (height, width), shown = _sizes(rgb.shape[1:], factor)
    if min(height, width) <= SMALLEST < min(rgb.shape[1:]) and factor < 1:
        raise DataError(f"the scale {factor:.3g} makes it {width} x {height} pixels; take a larger one")
    if height * width > max(pictures.LARGEST, rgb[0].numel()):
        raise DataError(f"the scale {factor:.3g} makes it {width} x {height} pixels; take a smaller one")
    small = resized(rgb[:, : shown[0], : shown[1]], height, width)
    if diameter is None:
        return small.mean(dim=0, keepdim=True), field, shown
    inside = resized(field[None, : shown[0], : shown[1]].float(), height, width)[0] >= 0.5
    if not inside.any():
        raise DataError("no eye is found: nothing in the picture is bright")
    return fundus.standardise(fundus.channels(small, how.mode), inside), field, shown


def _sizes(size: Sequence[int], factor: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """A picture's size at a scale, and the rows and columns of the picture that pixels of that size cover."""
    height, width = size
    n = round(1 / factor) if 0 < factor < 1 else 1
    if n > 1 and abs(n * factor - 1) < NEAR and min(size) // n >= SMALLEST:
        return (height // n, width // n), (height // n * n, width // n * n)
    return (max(SMALLEST, round(height * factor)), max(SMALLEST, round(width * factor))), (height, width)


def _preparation(record: Mapping[str, Any]) -> Preparation:
    if "preparation" not in record:
        raise DataError(
            f"{record.get('experiment', 'this network')} does not say how pictures were prepared for it"
        )
    return Preparation(**record["preparation"])


def probability(
    model: nn.Module, record: Mapping[str, Any], rgb: Tensor, *, scale: float | None = None, core: int = CORE
) -> Tensor:
    """The probability of a vessel or line at every pixel, 0 outside the field of view.

    The picture is prepared (`prepare`), segmented tile by tile, and brought back to its size; rows and columns that the
    network was not shown repeat the last one. `record` is the result that the network comes from. Shapes: `[3, H, W]`
    -> `[H, W]`.
    """
    image, field, shown = _prepare(record, rgb, scale)
    logits = apply_tiled(model, image, core=core)
    rest = [rgb.shape[1] - shown[0], rgb.shape[2] - shown[1]]
    grown = resized(torch.sigmoid(logits), *shown)
    back = functional.pad(grown, (0, rest[1], 0, rest[0]), mode="replicate")[0]
    return torch.where(field, back, torch.zeros_like(back))


def volume_probability(
    model: nn.Module,
    record: Mapping[str, Any],
    values: Tensor,
    *,
    voxel: Sequence[float] | None = None,
    size: float | None = None,
    core: int = VOLUME_CORE,
) -> Tensor:
    """The probability of a tube at every voxel of a stack of grey values, in bounded memory.

    The stack is resampled to cubes of `size` where voxels have the lengths `voxel` (z, y, x; None: cubes as it
    stands), brought to the grey levels of training, segmented tile by tile, and brought back to its size.
    Shapes: `[D, H, W]` -> `[D, H, W]`. Raises: DataError for one value everywhere or a size too small or large.
    """
    levels = _preparation(record).levels
    assert levels is not None
    if voxel is not None and size is not None:
        shape = cubic_shape(values.shape, voxel, size)
        if (wanted := math.prod(shape)) > stacks.LARGEST:
            raise DataError(f"cubes of {size:g} make {wanted} voxels of it; take larger ones")
        if min(shape) < stacks.SMALLEST:
            raise DataError(
                f"cubes of {size:g} make {' x '.join(map(str, shape))} voxels of it, where {stacks.SMALLEST} are the "
                "least along an axis; take smaller ones"
            )
    f = (values if voxel is None else cubic(values, voxel, size)).double()
    deviation, level = torch.std_mean(f)
    if not deviation > 0:
        raise DataError("it has one value everywhere: there is nothing to be seen in it")
    f = ((f - level) / deviation * levels[1] + levels[0]).float()
    found = torch.sigmoid(apply_tiled(model, f[None], core=core))
    if f.shape == values.shape:
        return found[0]
    return functional.interpolate(found[None], values.shape, mode="trilinear", align_corners=False)[0, 0]


def resized(x: Tensor, height: int, width: int) -> Tensor:
    """A picture at another size, `[C, H, W]` -> `[C, height, width]`: linear where it grows, means where it shrinks.

    A pixel that comes of several is the mean over the part of the picture that it covers, as in training, where these
    are squares of whole pixels.
    """
    if height < x.shape[1]:
        x = _means(x.mT, height).mT
    if width < x.shape[2]:
        x = _means(x, width)
    if x.shape[1:] != (height, width):
        x = functional.interpolate(x[None], (height, width), mode="bilinear", align_corners=False)[0]
    return x


def _means(x: Tensor, cells: int) -> Tensor:
    """The means of every row over so many equal parts: `[C, H, W]` -> `[C, H, cells]`."""
    pixels = x.shape[-1]
    edges = torch.arange(cells + 1, dtype=torch.float64) * (pixels / cells)
    begin, end = edges[:-1], edges[1:]
    out = x.new_zeros(*x.shape[:-1], cells)
    for step in range(math.ceil(pixels / cells) + 1):
        pixel = begin.floor() + step
        share = (torch.minimum(end, pixel + 1) - torch.maximum(begin, pixel)).clamp(min=0) * (cells / pixels)
        out += x[..., pixel.clamp(max=pixels - 1).long()] * share.to(x.dtype)
    return out


def threshold(record: Mapping[str, Any]) -> float:
    """The probability from which a network calls a pixel a vessel or line: what its training images chose, or 1/2."""
    return record.get("metrics", {}).get("threshold", 0.5)


def write(rgb: Tensor, found: Tensor, stem: Path, *, at: float = 0.5) -> list[Path]:
    """The mask from the probability `at` on, the probability (0 to 255) and an overlay, see `pictures.write`."""
    mask = (found >= at).numpy()
    image = (rgb.permute(1, 2, 0) * 255).round().byte().numpy()
    results = {
        "mask": mask.astype(np.uint8) * 255,
        "probability": (found * 255).round().byte().numpy(),
        "overlay": np.where(mask[..., None], np.array(OVERLAY, dtype=np.uint8), image),
    }
    return pictures.write(
        {stem.with_name(f"{stem.name}_{kind}.png"): pixels for kind, pixels in results.items()}
    )


def folded(path: Path) -> str:
    """A path as a file system that ignores case and the composition of letters tells it from others."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def stems(images: list[Path], out: Path) -> dict[Path, Path]:
    """Where the results of each picture go. Raises: ValueError when two would be written to the same files."""
    places: dict[Path, Path] = {}
    taken: set[str] = set()
    for image in images:
        place = out / image.name[: len(image.name) - len(stacks.suffix(image) or image.suffix)]
        # On many systems eye.png and EYE.png, or an accent written in two ways, are one file.
        if folded(place) in taken:
            raise ValueError(
                f"the results of two pictures named {image.stem!r} would overwrite each other in {out}"
            )
        places[image] = place
        taken.add(folded(place))
    return places


@dataclass(frozen=True)
class Outcome:
    """What became of a picture: `problem` says what went wrong and is empty where nothing did."""

    image: Path
    problem: str = ""
    remarks: tuple[str, ...] = ()


def run(
    images: list[Path],
    out: Path,
    result: Path,
    *,
    scale: float | None = None,
    voxel: Sequence[float] | None = None,
    size: float | None = None,
) -> Iterator[Outcome]:
    """Segment pictures, or volumes, one after the other; whatever is wrong with one of them, the others are done.

    From the first on, the process keeps the memory that it frees (`pdegcnn_lib.memory`).
    Which of the two a network takes its result says. `scale` is for pictures, see `prepare`; `voxel` and `size` are
    for volumes, see `stacks.cubes`. Raises: ValueError for one that does not go with the network, for no such
    number, and for a file in the place of the folder; OSError for a folder that takes no files.
    """
    from tqdm import tqdm

    if scale is not None and not 0 < scale <= LARGEST_SCALE:
        raise ValueError(f"scale must be positive and at most {LARGEST_SCALE}, got {scale}")
    if size is not None and not 0 < size < math.inf:
        raise ValueError(f"size must be positive, got {size}")
    if out.exists() and not out.is_dir():
        raise ValueError(f"out must be a folder, {out} is a file")
    model, record = load(result)
    in_space = record.get("preparation", {}).get("mode") == "volume"
    if in_space and scale is not None:
        raise ValueError(
            "scale is for pictures, and the network takes volumes: --size and --voxel say how large"
        )
    if not in_space and (voxel is not None or size is not None):
        raise ValueError(
            "voxel and size are for volumes, and the network takes pictures: --scale says how large"
        )

    paths.check_writable(out, make=False)
    keep_freed_memory(0)

    def one(image: Path, stem: Path, remarks: list[str]) -> None:
        if in_space:
            _volume(model, record, image, stem, voxel, size)
        else:
            _picture(model, record, image, stem, scale, remarks)

    for image, stem in tqdm(stems(images, out).items(), desc="pictures", leave=False):
        remarks: list[str] = []
        try:
            one(image, stem, remarks)
        except ImportError:
            raise  # the same for every picture
        except DataError as error:
            yield Outcome(image, str(error))
        except Exception as error:
            yield Outcome(image, f"{type(error).__name__}: {error}")
        else:
            yield Outcome(image, remarks=tuple(remarks))


def _picture(
    model: nn.Module,
    record: Mapping[str, Any],
    image: Path,
    stem: Path,
    scale: float | None,
    remarks: list[str],
) -> None:
    rgb = pictures.read(image, remarks)
    if (rgb.amin((1, 2)) == rgb.amax((1, 2))).all():
        raise DataError(f"picture: {image} has one value everywhere: there is nothing to be seen in it")
    found = _finite(probability(model, record, rgb, scale=scale))
    write(rgb, found, stem, at=threshold(record))


def _volume(
    model: nn.Module,
    record: Mapping[str, Any],
    path: Path,
    stem: Path,
    voxel: Sequence[float] | None,
    size: float | None,
) -> None:
    stack = stacks.read(path)
    lengths = stacks.cubes(stack, voxel, size)
    found = _finite(volume_probability(model, record, stack.values, voxel=lengths, size=size))
    mask = (found >= threshold(record)).numpy().astype(np.uint8) * 255
    results = {"mask": mask, "probability": (found * 255).round().byte().numpy()}
    stacks.write(results, stack, stem, stacks.suffix(path))


def _finite(found: Tensor) -> Tensor:
    if not found.isfinite().all():
        raise DataError("the network gives values that are not finite: its weights are damaged")
    return found
