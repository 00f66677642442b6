"""Data sets as they are handed out and unpacked today, and what is said where they are not found."""

import hashlib
from pathlib import Path

import pytest

from pdegcnn_lib.companion import doctor, paths
from pdegcnn_lib.companion.data import DataError, chase, drive, mnist, places


@pytest.fixture
def there(tmp_path, monkeypatch):
    """An empty folder of data."""
    monkeypatch.setenv("PDEGCNN_DATA", str(tmp_path))
    return tmp_path


def put(path: Path, content: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "lay",
    [
        lambda name: f"CHASE_DB1/{name}",
        lambda name: f"CHASEDB1/CHASE_DB1/{name}",
        lambda name: f"chase-db1/{Path(name).name}",
        lambda name: f"CHASE_DB1/Images/{Path(name).name.upper()}",
    ],
)
def test_chase_is_found_however_it_was_unpacked(there, lay):
    for name in chase.sha256():
        put(there / lay(name))
    assert chase.available()
    with pytest.raises(DataError, match="(?i)image_01L.jpg is damaged"):
        chase.load(True)


def test_the_folder_may_be_that_of_the_data_set_itself(there, monkeypatch):
    put(there / "DRIVE/training/images/21_training.tif")
    monkeypatch.setenv("PDEGCNN_DATA", str(there / "DRIVE"))
    assert drive.folder() == there / "DRIVE"
    monkeypatch.setenv("PDEGCNN_DATA", f"{there}/DRIVE/")
    assert drive.folder() == there / "DRIVE"


def test_a_part_of_drive_is_not_taken_for_another(there):
    put(there / "DRIVE/deep/training/images/21_training.tif")
    put(there / "DRIVE/augmented/22_training.tif")
    assert places.place("DRIVE", ("training/images/21_training.tif",))[0].is_file()
    assert not places.place("DRIVE", ("training/images/22_training.tif",))[0].exists()


def test_the_missing_labels_of_drive_are_named_one_folder_deeper_too(there):
    put(there / "DRIVE/DRIVE/test/images/01_test.tif")
    with pytest.raises(DataError, match="labels of the test images, .*are not handed out any more"):
        drive.load(False)


@pytest.mark.parametrize("name", ["raw/{}", "{}", "{0}/{0}", "dotted"])
def test_digits_that_were_unpacked_are_read(there, monkeypatch, name):
    contents = {
        "t10k-images-idx3-ubyte": (2051).to_bytes(4, "big") + (1).to_bytes(4, "big") * 3 + b"\x80",
        "t10k-labels-idx1-ubyte": (2049).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"\x07",
    }
    for plain, content in contents.items():
        monkeypatch.setitem(mnist.UNPACKED, plain, hashlib.sha256(content).hexdigest())
        usual = plain.replace("-idx", ".idx") if name == "dotted" else name.format(plain)
        put(there / "mnist" / usual, content)
    images, labels = mnist.load(False)
    assert images.mul(255).tolist() == [[[[128.0]]]] and labels.tolist() == [7]
    monkeypatch.setitem(mnist.UNPACKED, "t10k-images-idx3-ubyte", "0" * 64)
    with pytest.raises(DataError, match="is damaged: its SHA-256 is"):
        mnist.load(False)


@pytest.mark.parametrize("archive", ["CHASEDB1.zip", "CHASE_DB1/all.tar.gz"])
def test_an_archive_is_to_be_unpacked(there, archive):
    put(there / archive)
    with pytest.raises(DataError, match="is missing; .* is there, but archives are not looked into: unpack"):
        chase.load(True)
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte.gz is missing; point PDEGCNN_DATA"):
        mnist.load(False)


def test_what_is_no_folder_of_data_is_said_everywhere(there, monkeypatch):
    (there / "loop").symlink_to("loop")
    put(there / "file")
    for named, says in (
        ("file", "file is a file, not a folder"),
        ("gone", "gone is not there"),
    ):
        monkeypatch.setenv("PDEGCNN_DATA", str(there / named))
        for load in (chase.load, drive.load, mnist.load):
            with pytest.raises(DataError, match=f"is missing; .*{says}; "):
                load(True)
        assert says in doctor.as_text(doctor.report())
    for named in (str(there / "loop"), "~nobody-of-this-name/data"):
        monkeypatch.setenv("PDEGCNN_DATA", named)
        with pytest.raises(ValueError, match="PDEGCNN_DATA must name a folder, got"):
            paths.data()
        assert "PDEGCNN_DATA must name a folder" in doctor.as_text(doctor.report())
