"""MNIST: what is read, and what is said when it cannot be."""

import gzip
import hashlib

import numpy as np
import pytest
import torch

from pdegcnn_lib.companion import data
from pdegcnn_lib.companion.data import DataError, mnist


def idx(array: np.ndarray, magic: int) -> bytes:
    header = magic.to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return gzip.compress(header + array.tobytes())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty data folder."""
    monkeypatch.setenv("PDEGCNN_DATA", str(tmp_path))
    (tmp_path / "MNIST").mkdir()
    return tmp_path / "MNIST"


@pytest.fixture
def small(folder, monkeypatch):
    """Four small files of the right format, whose checksums the loader knows."""
    rng = np.random.default_rng(1)
    arrays, digests = {}, {}
    for part, count in (("train", 7), ("t10k", 3)):
        arrays[f"{part}-images-idx3-ubyte.gz"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte.gz"] = rng.integers(0, 10, count, dtype=np.uint8)
    for name, array in arrays.items():
        content = idx(array, 2051 if array.ndim == 3 else 2049)
        (folder / name).write_bytes(content)
        digests[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(mnist, "SHA256", digests)
    return arrays


def test_reads_images_and_labels(small):
    assert mnist.available()
    for train, part, count in ((True, "train", 7), (False, "t10k", 3)):
        images, labels = mnist.load(train=train)
        assert images.shape == (count, 1, 28, 28) and images.dtype == torch.float32
        assert labels.shape == (count,) and labels.dtype == torch.int64
        expected = small[f"{part}-images-idx3-ubyte.gz"]
        np.testing.assert_array_equal((images[:, 0] * 255).round().numpy(), expected)
        assert labels.tolist() == small[f"{part}-labels-idx1-ubyte.gz"].tolist()
        assert images.min() >= 0 and images.max() <= 1


def test_a_missing_file_is_named_with_the_ways_to_get_it(small, folder):
    path = folder / "train-labels-idx1-ubyte.gz"
    path.unlink()
    assert not mnist.available()
    with pytest.raises(DataError) as error:
        mnist.load(train=True)
    for words in (str(path), "is missing", "PDEGCNN_DATA", "mnist.download()"):
        assert words in str(error.value)
    mnist.load(train=False)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:40] + bytes([b[40] ^ 1]) + b[41:]]
)
def test_a_damaged_file_is_named_with_both_checksums(small, folder, damage):
    path = folder / "t10k-images-idx3-ubyte.gz"
    content = damage(path.read_bytes())
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        mnist.load(train=False)
    for words in (str(path), "is damaged", hashlib.sha256(content).hexdigest(), mnist.SHA256[path.name]):
        assert words in str(error.value)


def test_a_file_of_another_kind_is_named(small, folder, monkeypatch):
    path = folder / "t10k-labels-idx1-ubyte.gz"
    content = idx(np.zeros((1, 2), dtype=np.uint8), 2050)
    path.write_bytes(content)
    monkeypatch.setitem(mnist.SHA256, path.name, hashlib.sha256(content).hexdigest())
    with pytest.raises(DataError, match="starts with 2050, it must start with 2049"):
        mnist.load(train=False)


def test_nothing_is_there_without_data(folder):
    assert not mnist.available()
    with pytest.raises(DataError, match="is missing"):
        data.mnist.load(train=True)


def test_an_unknown_protocol_is_quoted(small):
    with pytest.raises(ValueError, match="protocol must be one of 60000/10000, 12000/50000, got '1/2'"):
        mnist.load(train=True, protocol="1/2")


@pytest.mark.skipif(not mnist.available(), reason="MNIST is not in PDEGCNN_DATA")
def test_the_protocol_of_the_customary_rotated_digits():
    (train, labels), (test, _) = (mnist.load(train=part, protocol="12000/50000") for part in (True, False))
    assert len(train) == len(labels) == 12000 and len(test) == 50000
    assert torch.equal(train, mnist.load(train=True, protocol="12000/50000")[0])
    assert labels.bincount().min() > 1000, "all classes are there, in no order"
    # No digit is in both: of 70 000 all but a few are different pictures.
    rows = torch.cat([train, test]).flatten(1).mul(255).byte().numpy()
    assert len({row.tobytes() for row in rows}) > 61990


@pytest.mark.skipif(not mnist.available(), reason="MNIST is not in PDEGCNN_DATA")
def test_the_real_files():
    images, labels = mnist.load(train=False)
    assert images.shape == (10000, 1, 28, 28)
    # The class counts of the published test set.
    assert labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert images.mean().item() == pytest.approx(0.1325, abs=1e-4)
