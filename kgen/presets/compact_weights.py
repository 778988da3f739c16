"""Smaller .keras files."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import zipfile
from collections.abc import Mapping

import h5py
import numpy as np

from kgen.files import whole_file

_WEIGHTS = "model.weights.h5"
# Bytes from which compression saves more space than its description costs.
_WORTHWHILE = 512
# The attribute of a weight that was left out: the other file's name, a colon, and the weight's path in it.
_KEPT_IN = "kept_in"
# The attribute of an int8 weight: the scales of its columns.
_SCALE = "scale"

Files = Mapping[str, str | os.PathLike]


def compact_weights(file: str | os.PathLike, dtype: str | None = None, others: Files | None = None) -> set[str]:
    """Rewrites a `.keras` file: equal weights only once, float32 weights in `dtype`, everything compressed.

    Without `others` and int8, Keras reads it like any other file, and casts weights to the dtype of their variables.

    Args:
        file: path of the file.
        dtype: "float16"; "int8", for kernels and tables with a scale per column, and float16 for the rest; or None to
            keep the dtypes.
        others: other `.keras` files by name. A weight that is bit-identical in one of them is left out.
            `completed_weights` restores it, and int8 weights.

    Returns:
        Names of the files that have the left-out weights.

    Raises:
        ValueError: if a weight is too large for float16.

    Example:

    ```python
    model.save("cat.keras")
    compact_weights("cat.keras", "float16")
    ```
    """
    contents = _read(file)
    elsewhere: dict[tuple, str] = {}
    for name, other in (others or {}).items():
        with _weights(_read(other)) as weights:
            weights.visititems(lambda place, item, name=name: _note(elsewhere, f"{name}:{place}", item))
    compact = io.BytesIO()
    used: set[str] = set()
    # The HDF5 format of version 1.8 (2008): in older ones an attribute is too small for the scales of many columns.
    with _weights(contents) as source, h5py.File(compact, "w", libver="v108") as target:
        _copy(source, target, dtype, {}, elsewhere)
        target.visititems(lambda _, item: used.update(item.attrs.get(_KEPT_IN, "").split(":")[:1]))
    contents[_WEIGHTS] = compact.getvalue()
    with whole_file(file) as partial:
        _write(partial, contents, compression=zipfile.ZIP_DEFLATED, compresslevel=9)
    return used - {""}


def completed_weights(file: str | os.PathLike, others: Files, target: str | os.PathLike) -> None:
    """Writes a `.keras` file that Keras can read, with the weights that `compact_weights` left out, and none in int8.

    Args:
        file: path of the file.
        others: the same files that `compact_weights` was given, by the same names.
        target: path of the new file.
    """
    contents = _read(file)
    completed = io.BytesIO(contents[_WEIGHTS])
    with contextlib.ExitStack() as stack:
        weights = stack.enter_context(h5py.File(completed, "r+"))
        opened = {name: stack.enter_context(_weights(_read(other))) for name, other in others.items()}
        _fill(weights, opened)
    contents[_WEIGHTS] = completed.getvalue()
    _write(target, contents)


def _read(file):
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write(file, contents, **options):
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def _weights(contents):
    return h5py.File(io.BytesIO(contents[_WEIGHTS]))


def _note(elsewhere, place, item):
    if isinstance(item, h5py.Dataset):
        elsewhere.setdefault(_key(_restored(item)), place)


def _restored(item):
    """The array of a dataset; float32 if its numbers are multiples of scales."""
    return item[()] * item.attrs[_SCALE] if _SCALE in item.attrs else item[()]


def _key(array):
    return array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest()


def _copy(source, target, dtype, kept, elsewhere):
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(name), dtype, kept, elsewhere)
            continue
        exact = array = item[()]
        if dtype is not None and array.dtype == np.float32 and array.ndim:
            with np.errstate(over="ignore"):
                array = array.astype("float16")
            if not np.isfinite(array).all():
                raise ValueError(f"save_to_preset: the weight {item.name} is too large for float16, or not finite.")
        worthwhile = array.nbytes > _WORTHWHILE
        key, scale = _key(array), None
        # What another file has in int8 is found by its exact numbers.
        place = elsewhere and (elsewhere.get(key) or elsewhere.get(_key(exact)))
        if dtype == "int8" and worthwhile and exact.dtype == np.float32 and array.ndim > 1 and not place:
            array, scale = _quantized(exact)
        if worthwhile and place:
            target.create_dataset(name, (0,), array.dtype).attrs[_KEPT_IN] = place
        elif key in kept:
            # The same array under two names: a hard link in HDF5.
            target[name] = kept[key]
        else:
            # Bytes of equal significance compress better next to each other.
            smaller = {"compression": "gzip", "shuffle": True} if worthwhile else {}
            kept[key] = target.create_dataset(name, data=array, **smaller)
            if scale is not None:
                kept[key].attrs[_SCALE] = scale
        target[name].attrs.update(item.attrs)


def _quantized(array):
    """`(int8, scales of the columns)`: each number is rounded to the nearest multiple of its column's scale."""
    scale = np.abs(array).max(axis=tuple(range(array.ndim - 1))) / 127.0
    scale = np.where(scale > 0.0, scale, 1.0).astype("float32")
    return np.rint(array / scale).astype("int8"), scale


def _fill(group, opened):
    for name, item in list(group.items()):
        if isinstance(item, h5py.Group):
            _fill(item, opened)
            continue
        attributes = dict(item.attrs)
        if _KEPT_IN in attributes:
            other, place = attributes.pop(_KEPT_IN).split(":", 1)
            item = opened[other][place]
        elif _SCALE not in attributes:
            continue
        array = _restored(item)
        attributes.pop(_SCALE, None)
        del group[name]
        group.create_dataset(name, data=array).attrs.update(attributes)
