import gzip
import importlib
import struct

import keras
import numpy as np
import pytest

from kgen.data.fashion_mnist import FASHION_MNIST_NAMES, fashion_mnist

# The function has the name of its module.
module = importlib.import_module("kgen.data.fashion_mnist")
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), "uint8")
LABELS = np.array([9, 0, 3, 3, 1, 7], "uint8")


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(folder, images=IMAGES, labels=LABELS, prefix="train", packed=False):
    """Files of arrays, or of bytes as they are."""
    for name, content in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
        content = content if isinstance(content, bytes) else idx(content)
        if packed:
            content, name = gzip.compress(content), f"{name}.gz"
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_reads_the_files_of_a_folder(tmp_path, packed):
    write(tmp_path, packed=packed)
    write(tmp_path, IMAGES[:2], LABELS[:2], "t10k", packed)
    images, labels = fashion_mnist(path=tmp_path)
    assert images.shape == (6, 28, 28, 1) and images.dtype == np.uint8 and images.flags.writeable
    assert labels.dtype == np.int32 and labels.tolist() == LABELS.tolist()
    np.testing.assert_array_equal(images[..., 0], IMAGES)
    images, labels = fashion_mnist("test", path=str(tmp_path))
    np.testing.assert_array_equal(images[..., 0], IMAGES[:2])
    assert labels.tolist() == [9, 0]


def test_gzip_is_known_by_content(tmp_path):
    write(tmp_path, packed=True)
    for file in list(tmp_path.iterdir()):
        file.rename(file.with_suffix(""))
    np.testing.assert_array_equal(fashion_mnist(path=tmp_path)[0][..., 0], IMAGES)


def test_sizes(tmp_path):
    flat = np.full((2, 28, 28), 77, "uint8")
    half = flat.copy()
    half[:, :, 14:] = 0
    stripes = np.zeros((2, 28, 28), "uint8")
    stripes[:, :, ::2] = 200
    write(tmp_path, np.concatenate([flat, half, stripes]))

    padded, _ = fashion_mnist(image_size=32, path=tmp_path)
    assert padded.shape == (6, 32, 32, 1) and (padded[0, 2:-2, 2:-2] == 77).all()
    assert padded[0].sum() == 77 * 28 * 28  # the rest is 0

    small, _ = fashion_mnist(image_size=14, path=tmp_path)
    assert small.shape == (6, 14, 14, 1) and small.dtype == np.uint8
    assert (small[0] == 77).all()
    assert (small[2, :, :5] == 77).all() and (small[2, :, 9:] == 0).all()
    # Picking every other column would give 200 or 0; antialiasing gives the mean.
    assert abs(small[4, 3:-3, 3:-3].astype(int) - 100).max() <= 4

    large, _ = fashion_mnist(image_size=56, path=tmp_path)
    assert large.shape == (6, 56, 56, 1) and (large[1] == 77).all()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("broken", ["images", "labels"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:9],
        lambda content: content[:5],
        lambda content: content[:1],
        lambda content: b"",
        lambda content: content + b"0",
        lambda content: b"\x80\x04" + content[2:],  # how a pickle begins
        lambda content: content[:2] + b"\x0d" + content[3:],  # float32
        lambda content: content[:4] + b"\xff\xff\xff\xff" + content[8:],  # 4 billion items
        lambda content: content[:4] + bytes(4) + content[8:],  # none
    ],
)
def test_wrong_content_names_the_file(tmp_path, damage, broken, packed):
    contents = {"images": idx(IMAGES), "labels": idx(LABELS)}
    contents[broken] = damage(contents[broken])
    write(tmp_path, **contents, packed=packed)
    with pytest.raises(ValueError, match=f"fashion_mnist: .*train-{broken}-idx"):
        fashion_mnist(path=tmp_path)


@pytest.mark.parametrize("damage", [lambda z: z[:-4], lambda z: z[:60], lambda z: z[:-8] + b"\0" * 8, lambda z: z[:8]])
def test_damaged_gzip_names_the_file(tmp_path, damage):
    write(tmp_path, packed=True)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match="train-images-idx3-ubyte.gz' is truncated or damaged"):
        fashion_mnist(path=tmp_path)


def test_files_that_do_not_belong_together(tmp_path):
    with pytest.raises(ValueError, match="6 images and .*train-labels-idx1-ubyte' 5 labels"):
        fashion_mnist(path=write(tmp_path, labels=LABELS[:5]))
    with pytest.raises(ValueError, match="train-labels-idx1-ubyte' must have labels from 0 to 9; it has 10"):
        fashion_mnist(path=write(tmp_path, labels=LABELS + np.uint8(1)))
    with pytest.raises(ValueError, match=r"images-idx3-ubyte' should have the shape \(N, 28, 28\).* \(6, 28, 27\)"):
        fashion_mnist(path=write(tmp_path, IMAGES[:, :, 1:]))


def test_missing_files_and_folders(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match="neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte.gz in"):
        fashion_mnist("test", path=tmp_path)
    with pytest.raises(ValueError, match="nowhere' does not exist"):
        fashion_mnist(path=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="train-labels-idx1-ubyte' is a file"):
        fashion_mnist(path=tmp_path / "train-labels-idx1-ubyte")
    with pytest.raises(TypeError, match="path must be a folder .* got 3"):
        fashion_mnist(path=3)


@pytest.mark.parametrize("split", ["validation", None, ["train"]])
def test_unknown_split(split):
    with pytest.raises(ValueError, match="split must be one of train, test; got"):
        fashion_mnist(split)


@pytest.mark.parametrize("size", [0, -28, 28.0, "28", True, None])
def test_bad_image_size(size):
    with pytest.raises(ValueError, match="fashion_mnist: image_size must be"):
        fashion_mnist(image_size=size)


def test_the_debian_package_comes_before_keras(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_DEBIAN", write(tmp_path))
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", lambda: pytest.fail("asked for a download"))
    np.testing.assert_array_equal(fashion_mnist()[0][..., 0], IMAGES)


def test_keras_is_the_last_resort(tmp_path, monkeypatch):
    sets = (IMAGES, LABELS), (IMAGES[::-1], LABELS[::-1])
    monkeypatch.setattr(module, "_DEBIAN", tmp_path / "nowhere")
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", lambda: sets)
    for split, (expected, expected_labels) in zip(("train", "test"), sets):
        images, labels = fashion_mnist(split)
        np.testing.assert_array_equal(images[..., 0], expected)
        assert labels.dtype == np.int32 and labels.tolist() == expected_labels.tolist()


def test_no_network_says_what_to_do(tmp_path, monkeypatch):
    def load_data():
        raise Exception("URL fetch failure on https://...: None -- no route")

    monkeypatch.setattr(module, "_DEBIAN", tmp_path / "nowhere")
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", load_data)
    with pytest.raises(ConnectionError, match="no route.*apt-get install dataset-fashion-mnist.*path="):
        fashion_mnist()


@pytest.mark.skipif(not module._DEBIAN.is_dir(), reason="needs the Debian package dataset-fashion-mnist")
def test_the_real_set():
    for split, per_class, total in (("train", 6000, 3_431_114_169), ("test", 1000, 573_469_082)):
        images, labels = fashion_mnist(split, path=module._DEBIAN)
        assert images.shape == (10 * per_class, 28, 28, 1)
        assert np.bincount(labels).tolist() == [per_class] * 10
        assert images.sum(dtype="int64") == total
    # The first of the test split is an ankle boot, and trousers are narrower than pullovers.
    assert FASHION_MNIST_NAMES[labels[0]] == "Ankle boot"
    wide = {name: (images[labels == i] > 0).any(axis=1).mean() for i, name in enumerate(FASHION_MNIST_NAMES)}
    assert wide["Trouser"] < 0.7 * wide["Pullover"]
