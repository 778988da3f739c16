"""Reads files of torch.save, without torch, and without running code that a pickle may ask for."""

from __future__ import annotations

import collections
import os
import pickle
import zipfile
from typing import NamedTuple

import ml_dtypes
import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "BFloat16Storage": ml_dtypes.bfloat16,
}


def read_torch_checkpoint(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of a state dict that `torch.save` wrote, in the format since torch 1.6 (zip) or the older one.

    A checkpoint is a pickle, and a pickle may call any function. Here only ordered dicts, tensors and their storages
    are allowed; everything else is refused.

    Args:
        path: the file.

    Returns:
        A dict from names to NumPy arrays, float32 for bfloat16, which NumPy does not have.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a checkpoint, is truncated, or contains anything but a flat dict of tensors.

    Example:

    ```python
    read_torch_checkpoint("model.pth")["_fc.bias"].shape      # (1000,)
    ```
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"read_torch_checkpoint: there is no file {path!r}.")
    try:
        with open(path, "rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
            file.seek(0)
            tensors, storages = _read_zip(file) if is_zip else _read_legacy(file)
        if not isinstance(tensors, dict) or not all(isinstance(t, _Tensor) for t in tensors.values()):
            raise ValueError("expected a state dict, which is a flat dict of tensors, but found something else")
        return {name: _array(tensor, storages) for name, tensor in tensors.items()}
    except Exception as error:  # a damaged pickle raises a dozen types
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"read_torch_checkpoint: could not read {path!r}: {said}.") from error


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    length: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


class _Unpickler(pickle.Unpickler):
    """Accepts only the names that a state dict needs."""

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        # The pickle must not be able to change what it gets here; it cannot change new functions and strings.
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(
            f"it asks for {module}.{name}, which does not belong in a dict of tensors, and loading it could run any "
            "code. Save only the model's state_dict()"
        )

    def persistent_load(self, pid):
        if pid[0] != "storage" or any(pid[5:]):
            raise pickle.UnpicklingError(f"it refers to {pid[0]!r}, which is not the plain storage of a tensor")
        _, name, key, _, length = pid[:5]
        self.storages[key] = storage = _Storage(key, np.dtype(_DTYPES[name]), length)
        return storage


def _read_legacy(file):
    """Reads pickles (magic number, version, system, tensors, keys of their storages), then each storage."""
    try:
        magic = _Unpickler(file).load()
    except Exception:  # the bytes may be anything
        magic = None
    if magic != _MAGIC:
        raise ValueError("it was not written by torch.save")
    _Unpickler(file).load()
    if not _Unpickler(file).load()["little_endian"]:
        raise ValueError("it was written by a big-endian machine, which is not supported")
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    data = {}
    for key in _Unpickler(file).load():
        file.seek(8, os.SEEK_CUR)  # its length, already known from the pickle
        storage = unpickler.storages[key]
        data[key] = _data(file.read(_bytes(storage)), storage)
    return tensors, data


def _read_zip(file):
    """Reads an archive of a pickle and one file per storage."""
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        root = next((name[: -len("data.pkl")] for name in names if name.endswith("/data.pkl")), None)
        if root is None:
            raise ValueError("it is a zip archive, but was not written by torch.save")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("it was written by a big-endian machine, which is not supported")
        with archive.open(f"{root}data.pkl") as stream:
            unpickler = _Unpickler(stream)
            tensors = unpickler.load()
        data = {key: _data(archive.read(f"{root}data/{key}"), s) for key, s in unpickler.storages.items()}
    return tensors, data


def _bytes(storage):
    return storage.length * storage.dtype.itemsize


def _data(content, storage):
    if len(content) != _bytes(storage):
        raise ValueError(f"it is truncated: storage {storage.key} has {len(content)} of {_bytes(storage)} bytes")
    return np.frombuffer(content, storage.dtype)


def _array(tensor, storages):
    """A copy of the tensor's view of its storage; a view beyond the storage would read foreign memory."""
    data = storages[tensor.storage.key]
    numbers = (tensor.offset, *tensor.shape, *tensor.strides)
    reach = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides))
    if len(tensor.shape) != len(tensor.strides) or min(numbers) < 0 or (0 not in tensor.shape and reach >= len(data)):
        raise ValueError(f"a tensor of shape {tensor.shape} reaches beyond its storage of {len(data)} numbers")
    strides = [step * data.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(data[tensor.offset :], tensor.shape, strides)
    return view.astype("float32" if view.dtype == ml_dtypes.bfloat16 else view.dtype)
