"""The reader's own pictures: depths of bits, pages, damage of every kind, and files that are never replaced."""

import os
import struct
import zlib

import numpy as np
import pytest
import torch

from pdegcnn_lib.companion import pictures, segment
from pdegcnn_lib.companion.cli import main, printable
from pdegcnn_lib.companion.data import DataError, Preparation, fundus

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("scipy")
RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (40, 50), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)


def save(path, pixels=COLOUR, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def run(monkeypatch, tmp_path):
    """`pdegcnn segment` with a network that calls bright what is bright."""
    monkeypatch.setattr(segment, "load", lambda result: (None, {"experiment": "vessels"}))
    monkeypatch.setattr(segment, "probability", lambda model, record, rgb, scale: rgb.mean(0))
    monkeypatch.setattr("pdegcnn_lib.companion.experiments.trained.resolve", lambda name: tmp_path)

    def call(*arguments) -> int:
        return main(["segment", *map(str, arguments)])

    return call


# ---- what is read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "deep"),
    [
        ("16.png", GREY.astype(np.uint16) * 257),
        ("16.tif", GREY.astype(np.uint16) * 257),
        ("16.pgm", GREY.astype(np.uint16) * 257),
        ("32.tif", (GREY.astype(np.float64) / 255 * (2**31 - 1)).astype(np.int32)),
        ("float.tif", (GREY / 255).astype(np.float32)),
    ],
)
def test_a_photograph_is_the_same_at_every_depth(tmp_path, name, deep):
    # A float has 24 bits.
    torch.testing.assert_close(
        pictures.read(save(tmp_path / name, deep)),
        pictures.read(save(tmp_path / "8.png", GREY)),
        atol=2**-23,
        rtol=0,
    )


def test_the_transparency_of_a_palette_changes_no_colour(tmp_path):
    palette = Image.fromarray(COLOUR).convert("P")
    palette.save(tmp_path / "opaque.png")
    palette.save(tmp_path / "transparent.png", transparency=bytes([0, 128, 255]))
    opaque, transparent = (pictures.read(tmp_path / f"{name}.png") for name in ("opaque", "transparent"))
    assert torch.equal(opaque, transparent)


@pytest.mark.parametrize("deep", [GREY, GREY.astype(np.uint16) * 257, (GREY / 255).astype(np.float32)])
def test_a_negative_is_turned_round_at_every_depth(tmp_path, deep):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "negative.tif", deep, photometric="miniswhite")
    expected = 1 - torch.from_numpy(GREY / 255).float().expand(3, -1, -1)
    torch.testing.assert_close(pictures.read(tmp_path / "negative.tif"), expected, atol=2**-23, rtol=0)


def test_bytes_with_a_sign_are_not_taken_for_others(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "half.tif", (GREY // 2).astype(np.int8))
    expected = torch.from_numpy((GREY // 2) / 127).float().expand(3, -1, -1)
    torch.testing.assert_close(pictures.read(tmp_path / "half.tif"), expected)
    tifffile.imwrite(tmp_path / "signed.tif", GREY.astype(np.int8))
    with pytest.raises(DataError, match="must have values from 0 to 127, got 0 to 255"):
        pictures.read(tmp_path / "signed.tif")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_that_is_left_out_is_remarked(tmp_path, mode):
    image, remarks = Image.fromarray(COLOUR).convert(mode), []
    image.save(tmp_path / "opaque.png")
    pictures.read(tmp_path / "opaque.png", remarks)
    assert remarks == []
    image.putalpha(Image.fromarray(GREY))
    image.save(tmp_path / "glass.png")
    pictures.read(tmp_path / "glass.png", remarks)
    assert remarks == ["its transparency is left out"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.5, 211.0])
def test_values_that_are_no_light_are_named(tmp_path, value):
    pixels = (GREY / 255).astype(np.float32)
    pixels[3, 4] = value
    says = "values from 0 to 1, got" if np.isfinite(value) else "not finite, 1 of 2000"
    with pytest.raises(DataError, match=says):
        pictures.read(save(tmp_path / "x.tif", pixels))


def test_pages_damaged_exif_and_unused_bits_are_remarked(tmp_path):
    remarks = []
    more = [Image.fromarray(COLOUR) for _ in range(2)]
    pictures.read(save(tmp_path / "stack.tif", save_all=True, append_images=more), remarks)
    turned = pictures.read(save(tmp_path / "x.png", exif=b"\x00\x08\x00\x02\x01\x12\x00\x03"), remarks)
    pictures.read(save(tmp_path / "12.png", GREY.astype(np.uint16) * 16), remarks)
    assert torch.equal(turned, torch.from_numpy(COLOUR).permute(2, 0, 1).float() / 255)
    assert [r.split(",")[0].split(":")[0] for r in remarks] == [
        "page 1 of 3",
        "its EXIF data are damaged",
        "no value above 4080 of 65535",
    ]


def png_of_16_bits(values):
    """A PNG in colours of 16 bits, which Pillow cannot write."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("name", ["x.tif", "x.png"])
def test_unused_bits_of_colours_are_remarked(tmp_path, name):
    tifffile = pytest.importorskip("tifffile")
    for factor, expected in (
        (257, []),
        (16, ["no value above 4095 of 65535, which leaves 16 levels of 256"]),
    ):
        values, remarks = COLOUR.astype(np.uint16) * factor, []
        if name == "x.png":
            (tmp_path / name).write_bytes(png_of_16_bits(values))
        else:
            tifffile.imwrite(tmp_path / name, values, photometric="rgb")
        found = pictures.read(tmp_path / name, remarks)
        assert torch.equal((found[0] * 255).round(), torch.from_numpy(values[..., 0] // 256).float())
        assert [remark.split(":")[0] for remark in remarks] == expected


@pytest.mark.parametrize("name", ["x.gif", "x.mpo", "x.tif"])
def test_only_of_a_tiff_pages_may_be_a_volume(tmp_path, name):
    remarks = []
    more = [Image.fromarray(255 - COLOUR)]
    pictures.read(save(tmp_path / name, save_all=True, append_images=more), remarks)
    advice = ": --model with a network of volumes takes all" if name == "x.tif" else ""
    assert remarks == [f"page 1 of 2, the others are left out{advice}"]


@pytest.mark.parametrize("side", [8100, 14000])
def test_more_pixels_than_memory_is_meant_for_are_refused_before_they_are_decoded(tmp_path, side):
    Image.new("1", (side, side)).save(tmp_path / "large.png")
    with pytest.raises(DataError, match="may have 64 million"):
        pictures.read(tmp_path / "large.png")


@pytest.mark.parametrize("height", [1, 2, 3])
def test_the_smallest_pictures_have_a_field(height):
    assert fundus.field_of_view(torch.full((3, height, 1), 0.5)).all()


def test_what_is_too_small_for_an_eye_is_not_blown_up():
    for radius in (3, 9, 20):
        y, x = np.mgrid[:400, :400]
        rgb = torch.from_numpy(((y - 200) ** 2 + (x - 200) ** 2 < radius**2) * 0.8).float().expand(3, -1, -1)
        with pytest.raises(DataError, match="no eye is found"):
            segment.prepare({"preparation": Preparation("CHASE_DB1", "green", 455.0).record}, rgb)
    lines = {"preparation": Preparation("lines", "grey").record}
    with pytest.raises(DataError, match="take a smaller one"):
        segment.prepare(lines, torch.rand(3, 2000, 2000), scale=8)
    with pytest.raises(DataError, match="scale 1e-09 makes it 8 x 8 pixels; take a larger one"):
        segment.prepare(lines, torch.rand(3, 40, 50), scale=1e-9)
    assert segment.prepare(lines, torch.rand(3, 1, 50), scale=1)[0].shape == (1, 8, 50)


# ---- one picture does not end a batch ----------------------------------------------------------------------------


def test_whatever_is_wrong_with_one_picture_the_others_are_done(run, tmp_path, capsys, monkeypatch):
    save(tmp_path / "a.png")
    save(tmp_path / "z.png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.png").touch()
    whole = save(tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    save(tmp_path / "black.png", np.zeros((40, 50), np.uint8))
    save(tmp_path / "red.png", np.full((40, 50, 3), (200, 3, 4), np.uint8))
    os.mkfifo(tmp_path / "pipe")
    wrong = ["folder", "empty.png", "cut.png", "black.png", "red.png", "x" * 300, "/proc/self/mem", "pipe"]
    save(tmp_path / ("y" * 240 + ".png"))
    names = ["a.png", *wrong, "y" * 240 + ".png", "z.png"]
    assert run(*(tmp_path / name for name in names), "-o", tmp_path / "out") == 1
    out, err = capsys.readouterr()
    assert "2 of 11 pictures" in out and len(err.splitlines()) == 9
    assert "folder is a folder, not a file" in err and err.count("one value everywhere") == 2
    assert "pipe is a pipe or a device: write it to a file first" in err
    assert {p.name for p in (tmp_path / "out").glob("*_mask.png")} == {"a_mask.png", "z_mask.png"}

    def exhausted(*arguments, **given):
        raise MemoryError("8 GB")

    monkeypatch.setattr(segment, "probability", exhausted)
    assert run(tmp_path / "a.png", "-o", tmp_path / "other") == 1
    assert "MemoryError: 8 GB" in capsys.readouterr().err


def test_a_folder_that_takes_no_files_is_found_before_any_work(run, tmp_path, capsys, monkeypatch):
    picture = save(tmp_path / "a.png")
    monkeypatch.setattr(segment, "probability", lambda *a, **k: pytest.fail("worked for nothing"))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("gone")
    for out in (picture / "masks", tmp_path / "loop", tmp_path / "nowhere", tmp_path / ("x" * 300)):
        assert run(picture, "-o", out) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert str(out) in line


def test_a_picture_given_twice_is_done_once(run, tmp_path, capsys):
    picture = save(tmp_path / "a.png")
    assert run(picture, picture, "-o", tmp_path / "out") == 0
    assert "1 of 1 pictures" in capsys.readouterr().out


def test_a_network_that_gives_no_numbers_is_not_done(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(segment, "probability", lambda *a, **k: torch.full((40, 50), torch.nan))
    assert run(save(tmp_path / "a.png"), "-o", tmp_path / "out") == 1
    assert "not finite" in capsys.readouterr().err and not (tmp_path / "out").exists()


# ---- nothing of the reader's is replaced -------------------------------------------------------------------------


@pytest.mark.parametrize("mine", ["picture", "text", "link", "broken link", "folder"])
def test_a_file_of_the_reader_is_not_replaced(run, tmp_path, capsys, mine):
    eye, target = save(tmp_path / "eye.png"), tmp_path / "eye_overlay.png"
    other = save(tmp_path / "kept.png", GREY)
    if mine == "picture":
        save(target, GREY)
    elif mine == "text":
        target.write_text("notes")
    elif mine == "folder":
        target.mkdir()
    else:
        target.symlink_to(other if mine == "link" else tmp_path / "nothing")
    before = target.read_bytes() if target.is_file() else None
    assert run(eye, "-o", tmp_path) == 1
    assert "not a result of `pdegcnn`; choose another folder" in capsys.readouterr().err
    assert (target.read_bytes() if target.is_file() else None) == before and target.is_symlink() == (
        "link" in mine
    )
    assert not (tmp_path / "eye_mask.png").exists(), "all results or none"


def test_results_are_replaced_until_the_reader_corrects_them_and_are_not_segmented(run, tmp_path, capsys):
    eye, mask = save(tmp_path / "eye.png"), tmp_path / "eye_mask.png"
    assert run(eye, "-o", tmp_path) == 0
    assert run(eye, "-o", tmp_path) == 0
    assert run(mask, "-o", tmp_path) == 1
    assert "is itself a result" in capsys.readouterr().err
    with Image.open(mask) as image:
        from PIL import PngImagePlugin

        text = PngImagePlugin.PngInfo()
        text.add_text(pictures.MARK, image.text[pictures.MARK])
        corrected = np.asarray(image).copy()
    corrected[0] = 255 - corrected[0]
    save(mask, corrected, pnginfo=text)  # by a program that keeps the text
    assert run(eye, "-o", tmp_path) == 1
    assert np.array_equal(np.asarray(Image.open(mask)), corrected)


# ---- the terminal ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [("eye œ.png", "eye œ.png"), ("a\nb", r"a\nb"), ("\x1b[2J", r"\x1b[2J"), ("a\udcff", r"a\udcff")],
)
def test_a_name_is_one_line_of_a_terminal(name, shown):
    assert printable(name) == shown
