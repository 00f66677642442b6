"""A reader's volumes: formats, voxels, tiles, what is refused, and that nothing of theirs is replaced."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pdegcnn_lib import models
from pdegcnn_lib.companion import data, segment, stacks
from pdegcnn_lib.companion.cli import main
from pdegcnn_lib.companion.data import DataError
from pdegcnn_lib.companion.experiments import trained
from pdegcnn_lib.models.tiling import apply_tiled, reach

tifffile = pytest.importorskip("tifffile")
nibabel = pytest.importorskip("nibabel")

NETWORK = segment.VOLUME_MODEL


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    """One of the test set of the experiment, as a scanner would hand it out: whole numbers of its own scale."""
    grey = data.tubes.draw(1, data.tubes.SEEDS[False], 24).images[0, 0]
    return (1000 + 300 * grey).round().numpy().astype(np.uint16)


def save_nifti(values: np.ndarray, path: Path, zooms: tuple[float, float, float] = (1, 1, 1)) -> Path:
    nibabel.save(nibabel.Nifti1Image(values.T, np.diag([*zooms, 1.0])), path)
    return path


def save_tiff(values: np.ndarray, path: Path, **how: object) -> Path:
    tifffile.imwrite(path, values, **how)
    return path


def segmented(path: Path, out: Path, *options: str) -> int:
    return main(["segment", str(path), "-o", str(out), "--model", NETWORK, *options])


def test_the_network_finds_the_tubes_that_it_was_trained_for(volume):
    """What the command finds in whole numbers of a scanner is what the experiment scored in its own grey values."""
    model, record = segment.load(trained.resolve(NETWORK))
    found = segment.volume_probability(model, record, torch.from_numpy(volume.astype(np.float32)))
    truth = data.tubes.draw(1, data.tubes.SEEDS[False], 24).truth[0, 0]
    dice = 2 * float((found[truth] >= 0.5).sum()) / float((found >= 0.5).sum() + truth.sum())
    # The levels are those of the one volume and not of all of them, which moves a few voxels.
    assert dice == pytest.approx(record["metrics"]["dice_by_image"][0], abs=0.03)


def test_tiff_and_nifti_give_the_same_masks(volume, tmp_path):
    for path in (save_nifti(volume, tmp_path / "a.nii.gz"), save_nifti(volume, tmp_path / "b.nii")):
        assert segmented(path, tmp_path / "out") == 0
    assert segmented(save_tiff(volume, tmp_path / "c.tif"), tmp_path / "out") == 0
    one, two = (nibabel.load(tmp_path / "out" / f"{name}") for name in ("a_mask.nii.gz", "b_mask.nii"))
    three = tifffile.imread(tmp_path / "out" / "c_mask.tif")
    assert np.array_equal(np.asarray(one.dataobj), np.asarray(two.dataobj))
    assert np.array_equal(np.asarray(one.dataobj).T, three) and 0 < three.mean() < 128
    assert np.array_equal(one.affine, np.eye(4)) and (tmp_path / "out" / "c_probability.tif").is_file()


def test_a_nifti_needs_no_word_about_the_network(volume, tmp_path):
    path = save_nifti(volume, tmp_path / "a.nii")
    assert main(["segment", str(path), "-o", str(tmp_path)]) == 0


@pytest.mark.parametrize("name", ["tubes-pdegcnn", "tubes-cnn"])
def test_tiles_make_no_difference(name):
    model = models.build(name).eval()
    for part in model.modules():
        if hasattr(part, "g0"):
            torch.nn.init.normal_(part.g0, std=0.2)
    f = torch.randn(1, 30, 15, 20)
    with torch.no_grad():
        whole = model(f[None])[0]
    tiled = apply_tiled(model, f, core=16)
    torch.testing.assert_close(tiled, whole, atol=1e-5 * float(whole.abs().max()), rtol=0)
    assert reach(models.build("tubes-cnn").eval(), 1, axes=3) == 2 + 3


def test_a_nifti_of_the_second_version_is_read(volume, tmp_path):
    nibabel.save(nibabel.Nifti2Image(volume.T, np.diag([3.0, 2.0, 1.0, 1.0])), tmp_path / "a.nii.gz")
    found = stacks.read(tmp_path / "a.nii.gz")
    assert torch.equal(found.values, torch.from_numpy(volume.astype(np.float32)))
    assert found.voxel == (1, 2, 3)


@pytest.mark.parametrize("version", ["Nifti1Image", "Nifti2Image"])
def test_the_result_lies_where_its_nifti_lies(volume, tmp_path, version):
    """The forms, which may differ, with what they are relative to, and the unit."""
    image = getattr(nibabel, version)(volume.T, None)
    image.header.set_xyzt_units("micron")
    image.header.set_sform([[0.5, 0, 0, 3], [0, -0.5, 0, 7], [0, 0, 0.5, 1]], code=1)
    image.header.set_qform(np.diag([-0.5, -0.5, 0.5, 1]), code=3)
    nibabel.save(image, tmp_path / "a.nii")
    assert segmented(tmp_path / "a.nii", tmp_path / "out") == 0
    found, header = nibabel.load(tmp_path / "out" / "a_mask.nii"), nibabel.load(tmp_path / "a.nii").header
    assert found.header["magic"] == header["magic"] and found.get_data_dtype() == np.uint8
    for name in stacks.PLACE:
        assert np.array_equal(found.header[name], header[name]), name


@pytest.mark.parametrize(
    ("dtype", "got"), [([("R", "u1"), ("G", "u1"), ("B", "u1")], "colours"), (np.complex64, "complex64")]
)
def test_voxels_that_are_no_real_numbers_are_refused(tmp_path, dtype, got):
    path = save_nifti(np.zeros((5, 6, 7), dtype), tmp_path / "a.nii")
    with pytest.raises(DataError, match=f"must have one real number for each voxel, got {got}"):
        stacks.read(path)


def test_anisotropic_voxels_are_resampled_when_asked_to(volume, tmp_path, capsys):
    path = save_nifti(volume[::2], tmp_path / "thick.nii", zooms=(1.0, 1.0, 2.0))
    assert segmented(path, tmp_path / "out") == 1
    assert "voxels must be cubes, got 2 x 1 x 1 along z, y, x; --size S" in capsys.readouterr().err
    assert segmented(path, tmp_path / "out", "--size", "1") == 0
    mask = nibabel.load(tmp_path / "out" / "thick_mask.nii")
    assert mask.shape == volume[::2].T.shape and mask.header.get_zooms() == (1.0, 1.0, 2.0)
    assert 0 < np.asarray(mask.dataobj).mean() < 128


def test_the_thinnest_stack_has_three_pages(volume, tmp_path, capsys):
    assert (
        segmented(save_tiff(volume[:3], tmp_path / "three.tif", photometric="minisblack"), tmp_path / "out")
        == 0
    )
    path = save_tiff(volume[:2], tmp_path / "two.tif", photometric="minisblack")
    assert segmented(path, tmp_path / "out") == 1
    assert "three axes of at least 3 voxels, got the shape [2, 24, 24]" in capsys.readouterr().err
    path = save_nifti(volume[:6], tmp_path / "fine.nii")
    assert segmented(path, tmp_path / "out", "--size", "3") == 1
    said = "cubes of 3 make 2 x 8 x 8 voxels of it, where 3 are the least along an axis; take smaller ones"
    assert said in capsys.readouterr().err


def test_the_voxels_of_an_imagej_stack_are_read_and_written(volume, tmp_path):
    meta = {"axes": "ZYX", "spacing": 0.5, "unit": "micron"}
    path = save_tiff(volume, tmp_path / "a.tif", imagej=True, resolution=(2, 2), metadata=meta)
    assert stacks.read(path).voxel == (0.5, 0.5, 0.5)
    assert segmented(path, tmp_path / "out") == 0
    with pytest.raises(DataError, match=r"a_mask\.tif is itself a result"):
        stacks.read(tmp_path / "out" / "a_mask.tif")
    with tifffile.TiffFile(tmp_path / "out" / "a_mask.tif") as file:
        assert (file.imagej_metadata["spacing"], file.imagej_metadata["unit"]) == (0.5, "micron")


def test_imagej_leaves_out_a_spacing_of_one(volume, tmp_path, capsys):
    how = {"imagej": True, "resolution": (4, 4)}
    path = save_tiff(volume, tmp_path / "a.tif", **how, metadata={"axes": "ZYX", "unit": "micron"})
    assert stacks.read(path).voxel == (1, 0.25, 0.25)
    assert segmented(path, tmp_path / "out") == 1
    assert "voxels must be cubes, got 1 x 0.25 x 0.25 along z, y, x" in capsys.readouterr().err
    assert stacks.read(save_tiff(volume, tmp_path / "b.tif", **how, metadata={"axes": "ZYX"})).voxel is None


@pytest.mark.parametrize(
    ("sizes", "voxel", "unit"),
    [
        ({"X": 0.5, "Y": 1, "Z": 3}, (3, 1, 0.5), r"\u00b5m"),
        ({"X": 500, "XUnit": "nm", "Y": 1, "Z": 0.003, "ZUnit": "mm"}, (3, 1, 0.5), r"\u00b5m"),
        (
            {f"{axis}{part}": value for axis in "XYZ" for part, value in (("", 2), ("Unit", "pixel"))},
            (2, 2, 2),
            "pixel",
        ),
        ({"X": 1, "Y": 1}, None, None),
    ],
)
def test_the_voxels_of_an_ome_stack_are_read(volume, tmp_path, sizes, voxel, unit):
    meta = {"axes": "ZYX", **{f"PhysicalSize{name}": value for name, value in sizes.items()}}
    found = stacks.read(save_tiff(volume, tmp_path / "a.ome.tif", metadata=meta))
    assert found.voxel == (None if voxel is None else pytest.approx(voxel))
    assert found.unit == unit
    if voxel is not None:
        stacks.write({"mask": volume.astype(np.uint8)}, found, tmp_path / "a", ".tif")
        with tifffile.TiffFile(tmp_path / "a_mask.tif") as file:
            assert file.imagej_metadata["unit"] == unit
        meta["PhysicalSizeZUnit"] = "mile"
        with pytest.raises(DataError, match=r"one of pm, .*, in, got 'mile'"):
            stacks.read(save_tiff(volume, tmp_path / "b.ome.tif", metadata=meta))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
def test_a_stack_whose_zero_is_white_is_turned_round(volume, tmp_path, dtype):
    values = (volume / 2000).astype(dtype) if dtype == np.float32 else (volume // 16).astype(dtype)
    black, white = (
        stacks.read(save_tiff(values, tmp_path / f"{kind}.tif", photometric=kind)).values.double()
        for kind in ("minisblack", "miniswhite")
    )
    assert torch.equal(black, torch.from_numpy(values.astype(np.float64)))
    torch.testing.assert_close(white.mean() - white, black - black.mean(), atol=1e-6, rtol=0)


def test_colours_of_a_palette_are_refused_and_shades_of_one_are_not(tmp_path):
    values, shades = np.arange(4 * 6 * 7, dtype=np.uint8).reshape(4, 6, 7), np.zeros((3, 256), np.uint16)
    shades[1] = np.arange(256) * 257
    how = {"photometric": "palette", "metadata": None}
    path = save_tiff(values, tmp_path / "green.tif", colormap=shades, **how)
    assert torch.equal(stacks.read(path).values, torch.from_numpy(values).float())
    path = save_tiff(values, tmp_path / "colours.tif", colormap=shades[:, ::-1], **how)
    with pytest.raises(DataError, match="must have grey pages, got the photometric interpretation PALETTE"):
        stacks.read(path)


@pytest.mark.parametrize(
    ("shape", "how", "message"),
    [
        ((5, 6, 7, 3), {"photometric": "rgb"}, "axes .* must be z, y, x of one grey image, got '.YXS'"),
        ((2, 3, 6, 7), {"photometric": "minisblack"}, "axes .* must be z, y, x of one grey image"),
        ((6, 7), {}, "axes .* got 'YX'"),
        ((3, 6, 7), {"imagej": True, "metadata": {"axes": "CYX"}}, "got 'CYX'"),
    ],
)
def test_a_stack_whose_axes_are_ambiguous(tmp_path, shape, how, message):
    with pytest.raises(DataError, match=message):
        stacks.read(save_tiff(np.ones(shape, np.uint8), tmp_path / "a.tif", **how))


def test_what_is_no_stack_is_named_and_the_others_are_done(volume, tmp_path, capsys):
    wrong = volume.astype(np.float32)
    wrong[3, 4, 5] = np.nan
    paths = {
        "nan": save_tiff(wrong, tmp_path / "nan.tif"),
        "one value": save_tiff(np.ones((8, 8, 8), np.uint8), tmp_path / "flat.tif"),
        "four axes": save_nifti(np.ones((4, 4, 4, 4), np.uint8), tmp_path / "four.nii"),
        "good": save_tiff(volume, tmp_path / "good.tif"),
    }
    (tmp_path / "text.nii").write_text("no")
    (tmp_path / "cut.tif").write_bytes(paths["good"].read_bytes()[:200])
    named = [*map(str, paths.values()), str(tmp_path / "text.nii"), str(tmp_path / "cut.tif")]
    assert main(["segment", *named, "-o", str(tmp_path / "out"), "--model", NETWORK]) == 1
    printed = capsys.readouterr()
    assert "the first is nan at z, y, x = 3, 4, 5: each must be a finite number" in printed.err
    assert "not finite, 1 of 13824" in printed.err and "one value everywhere" in printed.err
    assert "must have the axes x, y, z, got the shape [4, 4, 4, 4]" in printed.err
    assert "text.nii cannot be read as a NIfTI" in printed.err
    assert "cut.tif cannot be read as a TIFF" in printed.err
    assert "1 of 6 pictures segmented" in printed.out and "Traceback" not in printed.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--scale", "2"), "scale is for pictures"),
        (("--size", "0"), "size must be positive, got 0.0"),
        (("--model", "vessels/vessels-pdegcnn12", "--size", "1"), "voxel and size are for volumes"),
    ],
)
def test_options_that_do_not_go_with_the_network(volume, tmp_path, capsys, options, message):
    assert segmented(save_tiff(volume, tmp_path / "a.tif"), tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_lengths_of_voxels(volume, tmp_path):
    plain = stacks.Stack(torch.from_numpy(volume.astype(np.float32)), None)
    assert stacks.cubes(plain, None, None) is None and stacks.cubes(plain, [2, 2, 2], None) is None
    assert stacks.cubes(plain, [2, 1, 1], 1.0) == (2, 1, 1)
    with pytest.raises(DataError, match="does not say how long its voxels are"):
        stacks.cubes(plain, None, 1.0)
    with pytest.raises(DataError, match="must be positive, got 0 x 1 x 1"):
        stacks.cubes(plain, [0, 1, 1], 1.0)


def test_a_readers_file_is_not_replaced(volume, tmp_path, capsys):
    path, out = save_tiff(volume, tmp_path / "a.tif"), tmp_path / "out"
    assert segmented(path, out) == 0 and segmented(path, out) == 0, "its own results it replaces"
    changed = tifffile.imread(out / "a_mask.tif")
    changed[0, 0, 0] ^= 255
    save_tiff(changed, out / "a_mask.tif")
    before = (out / "a_probability.tif").read_bytes()
    assert segmented(path, out) == 1
    assert "a_mask.tif is there already and not a result" in capsys.readouterr().err
    assert np.array_equal(tifffile.imread(out / "a_mask.tif"), changed)
    assert (out / "a_probability.tif").read_bytes() == before


@pytest.mark.parametrize("mine", ["folder", "text", "broken link"])
def test_whatever_of_the_readers_is_in_the_way_stays(volume, tmp_path, capsys, mine):
    path, target = save_tiff(volume, tmp_path / "a.tif"), tmp_path / "out" / "a_mask.tif"
    target.parent.mkdir()
    if mine == "folder":
        target.mkdir()
    elif mine == "text":
        target.write_text("notes")
    else:
        target.symlink_to(tmp_path / "nothing")
    assert segmented(path, target.parent) == 1
    assert "a_mask.tif is there already and not a result" in capsys.readouterr().err
    assert [p.name for p in target.parent.iterdir()] == ["a_mask.tif"]
    assert target.is_symlink() or target.is_dir() or target.read_text() == "notes"


def test_the_preparation_of_volumes_is_checked():
    levels = data.Preparation("tubes", "volume", levels=(0.1, 0.4)).record
    assert json.loads(json.dumps(levels))["levels"] == [0.1, 0.4]
    with pytest.raises(ValueError, match="levels must be a mean and a positive deviation"):
        data.Preparation("tubes", "volume")
    with pytest.raises(ValueError, match="levels must be None in the mode grey"):
        data.Preparation("lines", "grey", levels=(0, 1))
