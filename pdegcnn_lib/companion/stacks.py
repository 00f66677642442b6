"""A reader's own volumes: stacks of TIFF and NIfTI, read with the lengths of their voxels, and written as they came."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from pdegcnn_lib.companion.data import DataError
from pdegcnn_lib.companion.data.files import checked_bytes
from pdegcnn_lib.companion.pictures import digest, put

NIFTI = (".nii", ".nii.gz")
TIFF = (".tif", ".tiff")
SMALLEST = 3  # voxels of a side that a network is shown: its windows of 5 go on mirrored
LARGEST = 1 << 28  # voxels, of a stack and of what a size makes of it: bounds memory and time
LARGEST_FILE = 1 << 32  # bytes
MARK = "pdegcnn "  # before the digest of the voxels, in a result: unchanged since
MICROMETRES = {"pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "µm": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "in": 25400.0}
# What the header of a NIfTI says of where its voxels lie.
PLACE = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)
INSTALL = "stacks are read by tifffile and nibabel: pip install 'pdegcnn[volumes]'"


@dataclass(frozen=True)
class Stack:
    """Grey values `[D, H, W]` and, where the file says so, the lengths of a voxel along z, y, x.

    `unit` is that of the lengths in a TIFF; `header` is that of a NIfTI, which says where its voxels lie.
    """

    values: Tensor
    voxel: tuple[float, float, float] | None
    unit: str | None = None
    header: Any = None


def suffix(path: Path) -> str:
    """The end of a file's name that says what it is: `.tif`, `.tiff`, `.nii` or `.nii.gz`; empty for another."""
    return next((end for end in (".nii.gz", ".nii", *TIFF) if path.name.lower().endswith(end)), "")


def read(path: Path) -> Stack:
    """A stack from a file.

    Raises: DataError for a file that is missing, no stack of grey pages (one channel, one time), the result of this
    command, larger than LARGEST voxels, or with values that are not finite; ImportError without the readers.
    """
    if not suffix(path):
        raise DataError(f"volume: {path} must be named {', '.join((*TIFF, *NIFTI))}")
    content = checked_bytes(path, None, "volume", "check its name", largest=LARGEST_FILE)
    values, voxel, unit, header, mark = _contents(content, path)
    if values.dtype.kind not in "biuf":
        got = "colours" if values.dtype.fields else values.dtype.name
        raise DataError(f"volume: {path} must have one real number for each voxel, got {got}")
    if values.ndim != 3 or min(values.shape) < SMALLEST:
        raise DataError(
            f"volume: {path} must have three axes of at least {SMALLEST} voxels, got the shape {list(values.shape)}"
        )
    if values.size > LARGEST:
        raise DataError(f"volume: {path} has {values.size} voxels, it may have {LARGEST}: cut it")
    if mark and mark == _mark(values):
        raise DataError(f"volume: {path} is itself a result of `pdegcnn`")
    numbers = values.astype(np.float32)
    if wrong := int((~np.isfinite(numbers)).sum()):
        z, y, x = np.argwhere(~np.isfinite(numbers))[0]
        raise DataError(
            f"volume: {path} has values that are not finite, {wrong} of {numbers.size}, the first is "
            f"{numbers[z, y, x]:g} at z, y, x = {z}, {y}, {x}: each must be a finite number"
        )
    return Stack(torch.from_numpy(numbers), voxel, unit, header)


Lengths = tuple[float, float, float]
Contents = tuple[np.ndarray, Lengths | None, str | None, Any, str]


def _tiff(content: bytes, path: Path) -> Contents:
    try:
        import tifffile
    except ImportError as error:
        raise ImportError(INSTALL) from error
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            series, meta, page = file.series[0], file.imagej_metadata or {}, file.pages.first
            axes, count, values = series.axes, len(file.series), series.asarray()
            said = file.ome_metadata
            voxel, unit = _imagej_lengths(meta, page) if said is None else _ome_lengths(said)
            description = str(meta.get("Info") or getattr(page, "description", ""))
    except DataError as error:
        raise DataError(f"volume: {path} {error}") from error
    except Exception as error:  # the reader passes on whatever its parsers stumble over
        raise DataError(f"volume: {path} cannot be read as a TIFF: {error}") from error
    # ImageJ and others call an axis without a name I or Q; what varies along it is then the page.
    if count != 1 or axes not in ("ZYX", "QYX", "IYX"):
        raise DataError(
            f"volume: the axes of {path} must be z, y, x of one grey image, got {axes!r}"
            + (f" in {count} series" if count != 1 else "")
        )
    return _brightness(values, page, path), voxel, unit, None, description.strip()


def _brightness(values: np.ndarray, page: Any, path: Path) -> np.ndarray:
    """Values that grow with brightness: those of a negative, whose 0 is white, are turned round.

    Raises: DataError for pages of colours; a palette that grows brighter, as ImageJ shows one stain, is none.
    """
    import tifffile

    kind = page.photometric if "PhotometricInterpretation" in page.tags else tifffile.PHOTOMETRIC.MINISBLACK
    if kind == tifffile.PHOTOMETRIC.MINISWHITE:
        # Their level and contrast are those of training in the end, so it matters not how many bits are used.
        return ~values if values.dtype.kind in "biu" else 1 - values
    grows = kind == tifffile.PHOTOMETRIC.PALETTE and (np.diff(page.colormap.astype(int)) >= 0).all()
    if kind != tifffile.PHOTOMETRIC.MINISBLACK and not grows:
        raise DataError(
            f"volume: {path} must have grey pages, got the photometric interpretation {kind.name}"
        )
    return values


def _imagej_lengths(meta: Mapping[str, Any], page: Any) -> tuple[Lengths | None, str | None]:
    """The lengths of a voxel, by the spacing of ImageJ and the resolution of a page, and their unit."""
    tags = [page.tags[name].value for name in ("YResolution", "XResolution") if name in page.tags]
    # ImageJ leaves out a spacing of 1 where lengths have a unit.
    spacing = meta.get("spacing", 1 if "unit" in meta else None)
    if spacing is None or len(tags) != 2 or not all(numerator for numerator, _ in tags):
        return None, None
    y, x = (denominator / numerator for numerator, denominator in tags)
    return (float(spacing), y, x), meta.get("unit")


def _ome_lengths(description: str) -> tuple[Lengths | None, str | None]:
    """The lengths of a voxel by the XML of an OME-TIFF and their unit, micrometres where axes differ in theirs.

    None where one is missing. Raises: DataError for another unit than MICROMETRES has where they differ.
    """
    pixels = ElementTree.fromstring(description).find(".//{*}Pixels")
    said = {} if pixels is None else pixels.attrib
    names = [f"PhysicalSize{axis}" for axis in "ZYX"]
    if not all(name in said for name in names):
        return None, None
    units = [said.get(f"{name}Unit", "µm") for name in names]
    one = len(set(units)) == 1
    if not one and (unknown := next((unit for unit in units if unit not in MICROMETRES), None)) is not None:
        raise DataError(
            f"has voxels whose lengths differ in their units, where each must be one of {', '.join(MICROMETRES)}, "
            f"got {unknown!r}"
        )
    z, y, x = (
        float(said[name]) * (1 if one else MICROMETRES[unit]) for name, unit in zip(names, units, strict=True)
    )
    return (z, y, x), json.dumps(units[0] if one else "µm")[1:-1]  # as ImageJ escapes what is not ASCII


def _nifti(content: bytes, path: Path) -> Contents:
    try:
        import nibabel
    except ImportError as error:
        raise ImportError(INSTALL) from error
    try:
        plain = _unpacked(content)
        second = nibabel.Nifti2Header.may_contain_header(plain)
        image = (nibabel.Nifti2Image if second else nibabel.Nifti1Image).from_bytes(plain)
        values = np.asarray(image.dataobj)
        x, y, z = image.header.get_zooms()[:3]
        mark = bytes(image.header["descrip"]).rstrip(b"\0").decode("ascii", "replace")
    except Exception as error:
        raise DataError(f"volume: {path} cannot be read as a NIfTI: {error}") from error
    if values.ndim != 3:
        raise DataError(f"volume: {path} must have the axes x, y, z, got the shape {list(values.shape)}")
    return values.T, (float(z), float(y), float(x)), None, image.header, mark


def _unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def cubes(
    stack: Stack, voxel: Sequence[float] | None, size: float | None
) -> tuple[float, float, float] | None:
    """The lengths of a voxel that count: those given, else the file's; None where they are cubes as they stand.

    Raises: DataError for anisotropic voxels without the size of the cubes that they are to be resampled to, or for
    lengths that are unknown where a size is asked for.
    """
    lengths = stack.voxel if voxel is None else (voxel[0], voxel[1], voxel[2])
    if lengths is None:
        if size is not None:
            raise DataError("the file does not say how long its voxels are; --voxel Z Y X does")
        return None
    if not all(np.isfinite(length) and length > 0 for length in lengths):
        raise DataError(f"the lengths of a voxel must be positive, got {_lengths(lengths)}")
    if size is None and max(lengths) > 1.01 * min(lengths):
        raise DataError(
            f"its voxels must be cubes, got {_lengths(lengths)} along z, y, x; --size S resamples to cubes of S"
        )
    return None if size is None else lengths


def _lengths(lengths: Sequence[float]) -> str:
    return " x ".join(f"{length:g}" for length in lengths)


def _mark(values: np.ndarray) -> str:
    return MARK + digest(np.ascontiguousarray(values))


def _contents(content: bytes, path: Path) -> Contents:
    return (_nifti if suffix(path) in NIFTI else _tiff)(content, path)


def _replaceable(path: Path, _values: np.ndarray) -> bool:
    """Whether nothing of the reader's is lost if a result is written in the place of a file."""
    try:
        there, *_, mark = _contents(checked_bytes(path, None, "volume", ""), path)
    except DataError:
        return False
    return bool(mark) and mark == _mark(there)


def _encoded(values: np.ndarray, like: Stack, end: str) -> bytes:
    if end in NIFTI:
        import nibabel

        second = isinstance(like.header, nibabel.Nifti2Header)
        image = (nibabel.Nifti2Image if second else nibabel.Nifti1Image)(values.T, None)
        for name in PLACE:
            image.header[name] = like.header[name]
        image.header["descrip"] = _mark(values).encode()
        content = image.to_bytes()
        # Without the time of writing, the same voxels are the same bytes.
        return gzip.compress(content, mtime=0) if end == ".nii.gz" else content
    import tifffile

    buffer, resolution = io.BytesIO(), None
    meta: dict[str, object] = {"axes": "ZYX", "Info": _mark(values)}
    if like.voxel is not None:
        meta["spacing"] = like.voxel[0]
        resolution = (1 / like.voxel[2], 1 / like.voxel[1])
    if like.unit is not None:
        meta["unit"] = like.unit
    tifffile.imwrite(buffer, values, imagej=True, metadata=meta, resolution=resolution, compression="zlib")
    return buffer.getvalue()


def write(results: dict[str, np.ndarray], like: Stack, stem: Path, end: str) -> list[Path]:
    """Write `STEM_NAME` + `end` for each result `[D, H, W]` of bytes: all of them, or none where one is in the way.

    In the format and with the voxels of the stack that they come from. Raises: DataError naming a file that is there
    and not an unchanged result.
    """
    places = {stem.with_name(f"{stem.name}_{kind}{end}"): values for kind, values in results.items()}
    return put(places, _replaceable, lambda path, values: _encoded(values, like, end))
