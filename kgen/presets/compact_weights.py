"""Smaller .keras files."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile

import h5py
import numpy as np

from kgen.files import whole_file

_WEIGHTS = "model.weights.h5"
# Bytes from which a compressed array takes less space than it costs to describe.
_WORTHWHILE = 512


def compact_weights(file: str | os.PathLike, dtype: str | None = None) -> None:
    """Rewrites a `.keras` file: equal weights only once, float32 weights in `dtype`, everything compressed.

    Keras reads it like any other file, and casts weights to the dtype of their variables.

    Args:
        file: path of the file.
        dtype: "float16", or None to keep the dtypes.

    Raises:
        ValueError: if a weight is too large for float16.

    Example:

    ```python
    model.save("cat.keras")
    compact_weights("cat.keras", "float16")
    ```
    """
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    compact = io.BytesIO()
    with h5py.File(io.BytesIO(contents[_WEIGHTS])) as source, h5py.File(compact, "w") as target:
        _copy(source, target, dtype, {})
    contents[_WEIGHTS] = compact.getvalue()
    with whole_file(file) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def _copy(source, target, dtype, kept):
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(name), dtype, kept)
            continue
        array = item[()]
        if dtype is not None and array.dtype == np.float32 and array.ndim:
            with np.errstate(over="ignore"):
                array = array.astype(dtype)
            if not np.isfinite(array).all():
                raise ValueError(f"save_to_preset: the weight {item.name} is too large for {dtype}, or not finite.")
        # The same array under two names: a hard link in HDF5.
        key = array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest()
        if key in kept:
            target[name] = kept[key]
        else:
            # Bytes of one significance side by side compress better.
            smaller = {"compression": "gzip", "shuffle": True} if array.nbytes > _WORTHWHILE else {}
            kept[key] = target.create_dataset(name, data=array, **smaller)
        target[name].attrs.update(item.attrs)
