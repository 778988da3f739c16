"""Fashion-MNIST: 70,000 small grey images of clothes in ten classes."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from kgen.data.pixel_store import pixel_store
from kgen.data.read_image import check_image_options
from kgen.types import Array

# By label.
FASHION_MNIST_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_PREFIXES = {"train": "train", "test": "t10k"}
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # where the package dataset-fashion-mnist installs its files
_SIDE = 28
_MOST = 60_000  # the largest file's item count; a damaged header cannot ask for more memory


def fashion_mnist(
    split: str = "train", image_size: int = 28, path: str | os.PathLike | None = None
) -> tuple[Array, Array]:
    """Loads Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; MIT licence, (c) Zalando SE).

    The files come from the first of these that exists:

    - `path`, if given.
    - the Debian and Ubuntu package `dataset-fashion-mnist` (`apt-get install dataset-fashion-mnist`, 31 MB).
    - `keras.datasets.fashion_mnist`, which downloads them the first time.

    `FASHION_MNIST_NAMES[label]` is the name of a class. All classes have the same number of images.

    Args:
        split: `"train"` or `"test"`.
        image_size: height and width in pixels. 28 is the original; 32 adds two black pixels on each side, which suits
            networks that halve the size; for any other size images are resized with antialiasing.
        path: a folder with the four files of the set (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
            `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`), each plain or with `.gz`. The two files of the split
            are enough.

    Returns:
        `(images, labels)`: uint8 `(N, image_size, image_size, 1)` and int32 `(N,)` from 0 to 9; N is 60,000 for
        training and 10,000 for test. Bright clothes on black.

    Raises:
        TypeError: `path` is not a path.
        ValueError: the split is unknown, `image_size` is out of range, the folder does not exist, or a file is missing,
            truncated or not the right kind.
        ConnectionError: the set is not on this machine, and Keras could not download it.

    Example:
        >>> images, labels = kgen.data.fashion_mnist("test", image_size=32)  # doctest: +SKIP
        >>> images.shape, FASHION_MNIST_NAMES[labels[0]]  # doctest: +SKIP
        ((10000, 32, 32, 1), 'Ankle boot')
    """
    if not isinstance(split, str) or split not in _PREFIXES:
        raise ValueError(f"fashion_mnist: split must be one of {', '.join(_PREFIXES)}; got {split!r}.")
    image_size = check_image_options("fashion_mnist", image_size, 1, "black", "crop")
    if path is not None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"fashion_mnist: path must be a folder (str or os.PathLike) or None; got {path!r}.")
        folder = Path(path).expanduser()
        if not folder.is_dir():
            found = "is a file" if folder.exists() else "does not exist"
            raise ValueError(f"fashion_mnist: path must be a folder with the files of the set; '{folder}' {found}.")
        images, labels = _from_folder(folder, split)
    elif _DEBIAN.is_dir():
        images, labels = _from_folder(_DEBIAN, split)
    else:
        images, labels = _from_keras(split)
    return _in_size(images, image_size), labels.astype("int32")


def _from_folder(folder, split):
    images_file = _existing(folder, f"{_PREFIXES[split]}-images-idx3-ubyte")
    labels_file = _existing(folder, f"{_PREFIXES[split]}-labels-idx1-ubyte")
    images, labels = _read_idx(images_file, (_SIDE, _SIDE)), _read_idx(labels_file, ())
    if len(images) != len(labels):
        raise ValueError(
            f"fashion_mnist: '{images_file}' has {len(images)} images and '{labels_file}' {len(labels)} labels; they "
            "do not belong together."
        )
    if labels.max() >= len(FASHION_MNIST_NAMES):
        raise ValueError(f"fashion_mnist: '{labels_file}' must have labels from 0 to 9; it has {labels.max()}.")
    return images, labels


def _from_keras(split):
    import keras

    try:
        train, test = keras.datasets.fashion_mnist.load_data()
    except Exception as error:  # noqa: BLE001  (Keras raises a bare Exception when a download fails)
        raise ConnectionError(
            f"fashion_mnist: the data set is not on this machine, and keras.datasets could not get it ({error}). "
            "Install it (on Debian and Ubuntu: `apt-get install dataset-fashion-mnist`), or pass the folder of its "
            "four idx files as path=."
        ) from error
    return train if split == "train" else test


def _existing(folder, name):
    for file in (folder / name, folder / f"{name}.gz"):
        if file.is_file():
            return file
    raise ValueError(f"fashion_mnist: there is neither {name} nor {name}.gz in '{folder}'.")


def _read_idx(file, item):
    """The uint8 array `(N, *item)` of an idx file, gzipped or not.

    The format is big-endian: 0, 0, the type (8 is uint8), the rank, each dimension in 4 bytes, the values.
    """
    expected = bytes([0, 0, 8, 1 + len(item)])
    with open(file, "rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(file) if compressed else open(file, "rb") as stream:
            magic = stream.read(len(expected))
            if magic != expected:
                raise ValueError(
                    f"fashion_mnist: '{file}' is not the idx file it should be: it begins with "
                    f"{magic.hex() or 'nothing'}, expected {expected.hex()}."
                )
            header = stream.read(4 * (1 + len(item)))
            count, *found = np.frombuffer(header[: len(header) // 4 * 4], ">u4").tolist() or [0]
            if tuple(found) != item or not 0 < count <= _MOST:
                raise ValueError(
                    f"fashion_mnist: '{file}' should have the shape (N, {', '.join(map(str, item))}) with N from 1 to "
                    f"{_MOST}; its header says {(count, *found)}."
                )
            size = count * int(np.prod(item))
            values = stream.read(size + 1)  # one more, to reach the end, where gzip checks its checksum
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"fashion_mnist: '{file}' is truncated or damaged ({error}).") from error
    if len(values) != size:
        found = f"{len(values)} bytes" if len(values) < size else "more"
        raise ValueError(
            f"fashion_mnist: '{file}' is truncated or damaged: expected {size} bytes of values; got {found}."
        )
    return np.frombuffer(values, "uint8").reshape(count, *item)


def _in_size(images, size):
    pixels = pixel_store((len(images), size, size, 1))
    if size == _SIDE:
        pixels[..., 0] = images
    elif size == _SIDE + 4:
        pixels[:] = 0
        pixels[:, 2:-2, 2:-2, 0] = images
    else:
        for row, image in zip(pixels, images, strict=True):
            row[..., 0] = Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS)
    return pixels
