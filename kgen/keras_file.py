"""Checks `.keras` files from unknown sources before loading them."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgen.checks import one_line

if TYPE_CHECKING:
    import keras

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
# The configs of kgen's presets are smaller than a megabyte.
_CONFIG_BYTES = 64 << 20
# Weights may unpack to at most this many times their compressed size, or to this many bytes if that is more.
_RATIO, _LITTLE = 100, 64 << 20
# How much more loading may create than the file holds: networks are copied, and some weights are replaced later.
_TIMES, _SPARE_NUMBERS, _SPARE_WEIGHTS = 4, 1 << 20, 200
# Arguments that make kgen read a preset or a file by name; a foreign file must not choose that name.
_NAMES = {"autoencoder", "prompt_expander", "space", "text_encoder", "vocabulary"}
_lock = threading.RLock()


def load_keras_file(file: str | os.PathLike, owner: str = "load_model") -> keras.Model:
    """Loads the model of a `.keras` file, not compiled; the file may come from anyone.

    No code in the file is run: Keras refuses Lambda layers, and classes that are neither from Keras or KerasHub nor
    registered, as kgen's are. The file must also not unpack to much more than its size, not name other files, and not
    ask in its config for a network with many more weights than it holds. All this is checked before memory is
    allocated.

    Args:
        file: path of the file.
        owner: function that errors begin with.

    Raises:
        ValueError: if the file is damaged, is not a model, or is refused; the message names the file, on one line.

    Example:

    ```python
    load_keras_file("cat.keras").generate(4)
    ```
    """
    return load_checked(file, check_keras_file(file, owner), owner, file)


def load_checked(file: str | os.PathLike, held: tuple[int, int], owner: str, called: str | os.PathLike) -> keras.Model:
    """Loads the model of a `.keras` file that `check_keras_file` has accepted.

    Args:
        file: path of the file.
        held: the result of `check_keras_file`.
        owner: function that errors begin with.
        called: the name of the file in errors.

    Raises:
        ValueError: as `load_keras_file`.
    """
    import keras

    numbers, weights = held
    try:
        with _at_most(_TIMES * numbers + _SPARE_NUMBERS, _TIMES * weights + _SPARE_WEIGHTS):
            return keras.saving.load_model(os.fspath(file), compile=False)
    except Exception as error:  # from any layer that does not accept its config
        raise ValueError(f"{owner}: cannot load '{called}': {_short(error)}") from error


def read_config(file: str | os.PathLike, owner: str = "load_model") -> dict[str, Any]:
    """The config of a `.keras` file, which has a `class_name` and a dict `config`.

    Raises:
        ValueError: as `load_keras_file`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            size = archive.getinfo(_CONFIG).file_size
            if size > _CONFIG_BYTES:
                raise ValueError(f"its config has {size:,} bytes")
            config = json.loads(archive.read(_CONFIG))
        if not isinstance(config["class_name"], str) or not isinstance(config["config"], dict):
            raise TypeError("its config does not name a class")
    except KeyError as error:
        raise ValueError(f"{owner}: '{file}' is not a Keras model: {error} is missing.") from error
    except Exception as error:  # zipfile, zlib and json raise a dozen types for other files
        raise ValueError(f"{owner}: '{file}' is not a Keras model, or is damaged: {_short(error)}") from error
    return config


def check_keras_file(file: str | os.PathLike, owner: str = "load_model") -> tuple[int, int]:
    """Counts what a `.keras` file holds, `(numbers, arrays of weights)`, without loading it.

    Raises:
        ValueError: as `load_keras_file`, for everything that can be seen without loading.
    """
    named = next(_names_in(read_config(file, owner)), None)
    if named:
        raise ValueError(
            f"{owner}: '{file}' is refused: its config names another file, {named[0]}={one_line(named[1])!r}."
        )
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
            size = os.path.getsize(file)
            if unpacked > max(_RATIO * size, _LITTLE):
                raise ValueError(f"its {size:,} bytes unpack to {unpacked:,}")
            for info in archive.infolist():
                path = Path(info.filename)
                if path.is_absolute() or ".." in path.parts:
                    raise ValueError(f"the path of a file in it leads out of the archive, {info.filename!r}")
            # The HDF5 library trusts its input, so accidentally changed bytes must not reach it.
            if damaged := archive.testzip():
                raise ValueError(f"{damaged!r} does not match its checksum")
            # In memory, as in Keras: seeking in a compressed part takes ten times as long.
            return _held(io.BytesIO(archive.read(_WEIGHTS)), size)
    except KeyError as error:
        raise ValueError(f"{owner}: '{file}' is not a Keras model: {error} is missing.") from error
    except Exception as error:  # h5py and zlib raise a dozen types for damaged files
        raise ValueError(f"{owner}: '{file}' is refused or damaged: {_short(error)}") from error


def _held(stream, size):
    import h5py

    numbers = weights = 0
    stored: dict[Any, int] = {}

    def visit(group, depth):
        nonlocal numbers, weights
        if depth > 100:
            raise ValueError("its weights are nested more than 100 deep")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{group.name}/{name} is a link out of the file")
            item = group[name]
            if isinstance(item, h5py.Group):
                visit(item, depth + 1)
                continue
            numbers += math.prod(item.shape)
            weights += 1
            # Weights left out for another preset have no numbers here; weights that appear twice are stored once.
            stored[item.id.get_offset() or item.name] = item.nbytes
            if item.external:
                raise ValueError(f"{item.name} is stored in another file")

    with h5py.File(stream) as file:
        visit(file, 0)
    if sum(stored.values()) > max(_RATIO * size, _LITTLE):
        raise ValueError(f"its {size:,} bytes claim to hold {sum(stored.values()):,} bytes of weights")
    return numbers, weights


def _names_in(value):
    """`(key, value)` of all entries in a config that name a file or an address."""
    left = [(None, value)]
    while left:
        key, each = left.pop()
        if isinstance(each, dict):
            left.extend(each.items())
        elif isinstance(each, list):
            left.extend((key, one) for one in each)
        elif key in _NAMES and isinstance(each, str) and ("/" in each or "\\" in each):
            yield key, each


@contextlib.contextmanager
def _at_most(numbers: int, weights: int) -> Iterator[None]:
    """A scope in which layers in this thread can create at most this many weights and numbers."""
    import keras

    with _lock:
        made, layer, own = {"numbers": 0, "weights": 0}, keras.layers.Layer, threading.get_ident()
        add_weight = layer.add_weight

        def counted(self, *args, **kwargs):
            if threading.get_ident() == own:
                shape = kwargs.get("shape", args[0] if args else ()) or ()
                made["weights"] += 1
                made["numbers"] += math.prod(shape if isinstance(shape, (tuple, list)) else (shape,))
                if made["numbers"] > numbers or made["weights"] > weights:
                    raise ValueError(
                        f"its config asks for a network with at least {made['numbers']:,} numbers in "
                        f"{made['weights']:,} weights, but the file holds fewer"
                    )
            return add_weight(self, *args, **kwargs)

        layer.add_weight = counted
        try:
            yield
        finally:
            layer.add_weight = add_weight


def _short(error):
    # Keras puts the config first and the innermost layer's reason last.
    return f"{type(error).__name__}: {one_line(str(error).rpartition('Exception encountered:')[2])}"
