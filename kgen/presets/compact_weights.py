"""The weights in a .keras file, in less space."""

from __future__ import annotations

import io
import os
import zipfile

import h5py
import numpy as np

_WEIGHTS = "model.weights.h5"


def compact_weights(file, dtype=None):
    """Rewrites a `.keras` file: float32 weights in `dtype`, equal ones once, all compressed.

    Keras reads it like any other, and casts weights to the dtype of their variables.

    Args:
        file: path of the file, which is replaced.
        dtype: "float16", or None to keep what there is.

    Raises:
        ValueError: if a weight is too large for float16.

    Example:

    ```python
    model.save("cat.keras")
    kgen.presets.compact_weights("cat.keras", "float16")
    ```
    """
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    compact = io.BytesIO()
    with h5py.File(io.BytesIO(contents[_WEIGHTS])) as source, h5py.File(compact, "w") as target:
        _copy(source, target, dtype, {})
    contents[_WEIGHTS] = compact.getvalue()
    partial = f"{file}.partial"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    os.replace(partial, file)


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
        # The same array under two names: HDF5 calls it a hard link.
        key = array.dtype.str, array.shape, array.tobytes()
        if key in kept:
            target[name] = kept[key]
        else:
            options = {"compression": "gzip", "shuffle": True} if array.ndim else {}
            kept[key] = target.create_dataset(name, data=array, **options)
        target[name].attrs.update(item.attrs)
