"""A preset: a directory with a trained model, without its training state, and a file that describes it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgen import checks
from kgen.files import PARTIAL, whole_file, write_whole
from kgen.keras_file import check_keras_file, load_checked
from kgen.presets.hub import fetched, is_address

if TYPE_CHECKING:
    # Imported only where needed, so that the command can list presets at once.
    import keras

# Where the presets that come with kgen are.
_OWN = Path(__file__).parent
_DESCRIPTION = "preset.json"
_MODEL = "model.keras"
# The new model, until it replaces the old one; after a kill it may belong to the description.
_NEXT = "next.keras"
_DESCRIPTION_BYTES = 16 << 20
# 1: only its own weights; 2: some weights from another preset; 3: some in int8.
_NEWEST_FORMAT = 3


def preset_names() -> list[str]:
    """Names of the presets that come with kgen.

    Example:

    ```python
    kgen.presets.preset_names()      # ["denoise_photo", ..., "upscale_photo_2x"]
    ```
    """
    return sorted(path.parent.name for path in _OWN.glob(f"*/{_DESCRIPTION}"))


def save_preset(
    model: keras.Model,
    directory: str | os.PathLike,
    dtype: str | None = None,
    shared_with: Sequence[str] = (),
    **remarks: Any,
) -> None:
    """Saves a model, without optimizers and metrics, as a preset.

    Args:
        model: a kgen model.
        directory: where to write; created if it does not exist. An older preset there is replaced.
        dtype: "float16" to save float32 weights in half the space, rounded to 11 bits; "int8" for a quarter, with
            kernels and tables rounded to multiples of 1/127 of the largest number in their column. Loading the preset
            converts them back to float32. None keeps the dtypes. Equal weights are saved only once: the file of an
            `averaged_copy` is smaller.
        shared_with: names from `preset_names()`. Weights that are bit-identical in these presets are left out, and read
            from them on loading. The file is smaller, but its users need the same presets.
        **remarks: facts that `preset_description` returns under "remarks"; anything that JSON can hold.

    Raises:
        FileExistsError: if `directory` is a file, or holds something other than a preset.
        FloatingPointError: if weights are NaN or infinite.
        TypeError: for a remark that JSON cannot hold.
        ValueError: for any other dtype, weights that float16 cannot hold, or a `shared_with` preset that is not kgen's
            own or that itself shares weights.

    Example:

    ```python
    kgen.presets.save_preset(model, "cat", dtype="float16")
    ```
    """
    import keras

    from kgen.presets.compact_weights import compact_weights

    checks.finite_weights("save_to_preset", model.variables)
    if dtype not in (None, "float16", "int8"):
        raise ValueError(f"save_to_preset: dtype must be None, 'float16' or 'int8'; got {dtype!r}.")
    shared_with = [shared_with] if isinstance(shared_with, str) else list(shared_with)
    for name in shared_with:
        if name not in preset_names() or _shared(preset_description(_OWN / name)):
            raise ValueError(
                "save_to_preset: shared_with must name presets of kgen that do not share weights themselves; got "
                f"{name!r}."
            )
    directory = Path(directory).expanduser()
    if directory.is_file() or _holds_something_else(directory):
        raise FileExistsError(f"save_to_preset: {directory} exists and is not a preset; choose another directory.")
    directory.mkdir(parents=True, exist_ok=True)
    # First the new model next to the old one, then its description: from then on the new model is loaded.
    with whole_file(directory / _NEXT) as partial:
        save_without_training_state(model, partial)
        used = compact_weights(partial, dtype, {name: _OWN / name / _MODEL for name in shared_with})
        shared = {name: _sha256(_OWN / name / _MODEL) for name in sorted(used)}
        description = {
            "format": 3 if dtype == "int8" else 2 if shared else 1,
            "class": keras.saving.get_registered_name(type(model)),
            # A text encoder has no image shape.
            "image_shape": list(getattr(model, "image_shape", ())) or None,
            "parameters": int(model.count_params()),
            "sha256": {_MODEL: _sha256(partial)},
            **({"shared_with": shared} if shared else {}),
            "remarks": remarks,
        }
        # Before the old model is replaced, in case JSON cannot hold a remark.
        text = json.dumps(description, indent=2) + "\n"
    write_whole(directory / _DESCRIPTION, text)
    os.replace(directory / _NEXT, directory / _MODEL)


def load_preset(name: str | os.PathLike, expected: type[keras.Model] | None = None) -> keras.Model:
    """Loads the model of a preset.

    Args:
        name: one of `preset_names()`; a directory that `save_preset` wrote; or an address to fetch one from:
            `hf://owner/name`, `kaggle://owner/model/keras/variation`, or the URL of a .zip or .tar.gz file of it.
        expected: the class that the model must have, or None.

    Returns:
        The model, ready for use; compile it to train it further. The average of its weights begins anew, so that a few
        steps show.

    Raises:
        ImportError: if the package of a hub is not installed.
        ValueError: for an unknown name, an address from which nothing can be fetched, a directory that is not a preset,
            a damaged or changed file, or a model of another class.

    Example:

    ```python
    model = kgen.presets.load_preset("openmoji_64")
    model.generate(["a black cat"], seed=0)
    ```
    """
    directory = _directory(name)
    description = preset_description(directory)
    if description["format"] > _NEWEST_FORMAT:
        raise ValueError(
            f"from_preset: {directory} has format {description['format']}; this version of kgen reads up to "
            f"{_NEWEST_FORMAT}. Upgrade: pip install --upgrade keras-kgen"
        )
    files = [file for file in (directory / _MODEL, directory / _NEXT) if file.is_file()]
    file = next((file for file in files if _sha256(file) == description["sha256"][_MODEL]), None)
    if file is None:
        raise ValueError(
            f"from_preset: {directory / _MODEL} is missing, damaged or changed: it does not match its checksum."
        )
    held = check_keras_file(file, "from_preset")
    with _complete(file, description) as complete:
        model = load_checked(complete, held, "from_preset", file)
    if expected is not None and not isinstance(model, expected):
        found = type(model).__name__
        way = f"{found}.from_preset" if hasattr(type(model), "from_preset") else f"kgen.text.{found}.of({str(name)!r})"
        raise ValueError(f"{expected.__name__}.from_preset: {directory} contains a {found}; load it with {way}.")
    restart_averages(model)
    return model


def restart_averages(model: keras.Model) -> None:
    """Starts the count of each `kgen.training.MovingAverage` in a trained model anew, for more training.

    With the count of a long training, a short one would hardly change the average, which is what generates.
    """
    for layer in model._flatten_layers(include_self=False):
        if hasattr(layer, "averages"):
            layer.restart()


def is_preset(name: str | os.PathLike) -> bool:
    """Whether this is the name of a preset that comes with kgen, or a directory that `save_preset` wrote.

    Example:

    ```python
    kgen.presets.is_preset("tiny_minilm_en_zh")      # True
    ```
    """
    return _is_preset(Path(name).expanduser()) or str(name) in preset_names()


def preset_description(name: str | os.PathLike) -> dict[str, Any]:
    """The contents of a preset's `preset.json`.

    Args:
        name: one of `preset_names()`, or a directory that `save_preset` wrote.

    Raises:
        ValueError: for an unknown name, or a directory that is not a preset.

    Example:

    ```python
    kgen.presets.preset_description("openmoji_64")["image_shape"]      # [64, 64, 3]
    ```
    """
    directory = _directory(name)
    if not _is_preset(directory):
        raise ValueError(
            f"from_preset: {directory} contains no preset: {_DESCRIPTION} is missing. save_to_preset writes one."
        )
    file = directory / _DESCRIPTION
    if file.stat().st_size > _DESCRIPTION_BYTES:
        raise ValueError(
            f"from_preset: {file} has {file.stat().st_size:,} bytes, too many for the description of a preset."
        )
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        fault = _fault(description)
    except (ValueError, RecursionError) as error:
        description, fault = None, f"it is not valid JSON ({type(error).__name__}: {checks.one_line(error)})"
    if fault:
        raise ValueError(f"from_preset: {file} is damaged: {fault}.")
    return description


def _fault(description):
    """The fault in the contents of a preset.json; "" if there is none."""
    wanted = {"format": int, "class": str, "parameters": int, "sha256": dict, "remarks": dict}
    if not isinstance(description, dict):
        return "it is not a dict"
    for key, kind in {**wanted, **({"shared_with": dict} if "shared_with" in description else {})}.items():
        if not isinstance(description.get(key), kind) or isinstance(description[key], bool):
            return f"{key!r} must be {'a string' if kind is str else 'of type ' + kind.__name__}"
    if not isinstance(description["sha256"].get(_MODEL), str):
        return f"'sha256' must contain that of {_MODEL}"
    shape = description.get("image_shape")
    sizes = shape if isinstance(shape, list) else [] if shape is None else [""]
    if not all(size is None or type(size) is int for size in sizes) or len(sizes) not in (0, 3):
        return "'image_shape' must be [height, width, channels] or null"
    return ""


def _directory(name):
    directory = fetched(name) if is_address(name) else Path(name).expanduser()
    # A directory of the same name, such as an export, does not hide a preset of kgen's own.
    if str(name) in preset_names() and not _is_preset(directory):
        return _OWN / str(name)
    if not directory.is_dir():
        raise ValueError(
            f"from_preset: there is no preset {str(name)!r}: it is neither a directory nor one of kgen's own "
            f"({', '.join(preset_names()) or 'none so far'})."
        )
    return directory


def _shared(description):
    return description.get("shared_with", {})


@contextlib.contextmanager
def _complete(file, description):
    """The file of a model with all its weights, readable by Keras."""
    if description["format"] == 1:
        yield file
        return
    from kgen.presets.compact_weights import completed_weights

    # Never from a user's directory of that name.
    shared = _shared(description)
    others = {name: _OWN / name / _MODEL for name in shared}
    for name, checksum in shared.items():
        if name not in preset_names() or _sha256(others[name]) != checksum:
            raise ValueError(
                f"from_preset: {file} shares weights with a preset {name!r} that this version of kgen does not have, "
                "or has in another version. Use the version of kgen that it was saved with."
            )
    with tempfile.TemporaryDirectory() as folder:
        complete = Path(folder) / _MODEL
        try:
            completed_weights(file, others, complete)
        except Exception as error:  # h5py raises a dozen types for missing items
            raise ValueError(
                f"from_preset: {file} is damaged: {type(error).__name__}: {checks.one_line(error)}"
            ) from error
        yield complete


def _is_preset(directory):
    return (directory / _DESCRIPTION).is_file()


def _holds_something_else(directory):
    """Whether the directory exists and is neither a preset nor the remains of a killed `save_preset`."""
    if not directory.is_dir() or _is_preset(directory):
        return False
    return any(PARTIAL not in path.name and path.name != _NEXT for path in directory.iterdir())


def _sha256(file):
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save_without_training_state(model: keras.Model, file: str | os.PathLike) -> None:
    """Writes a `.keras` file of a model as if neither it nor the models in it had ever been compiled."""
    models = list(_models_in(model))
    states = [(getattr(each, "optimizer", None), each.compiled) for each in models]
    for each in models:
        each.optimizer, each.compiled = None, False
    try:
        model.save(file)
    finally:
        for each, (optimizer, compiled) in zip(models, states):
            each.optimizer, each.compiled = optimizer, compiled


def _models_in(model):
    """The model and all models in it: a text encoder, for example, may have been compiled separately."""
    import keras

    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _models_in(layer)
