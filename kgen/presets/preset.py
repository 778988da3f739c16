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

from kgen.files import whole_file, write_whole
from kgen.presets.hub import fetched, is_address

if TYPE_CHECKING:
    # Imported where it is needed: what presets there are, the command says at once.
    import keras

# Where the presets are that come with kgen.
_OWN = Path(__file__).parent
_DESCRIPTION = "preset.json"
_MODEL = "model.keras"
# A preset with weights of its own only is of the first.
_FORMATS = (1, 2)


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
        dtype: "float16" to save float32 weights in half the space, rounded to 11 bits; they are float32 again when the
            preset is loaded. None keeps the dtypes. Equal weights are saved only once: for a smaller file that nobody
            will train further, set a network to its averaged weights first.
        shared_with: names of `preset_names()`. Weights that these have too, to the bit, are left out, and read from
            them when the preset is loaded: a smaller file, for those who have the same presets.
        **remarks: facts for `preset_description` to give under "remarks"; anything that JSON can hold.

    Raises:
        FileExistsError: if `directory` is a file, or holds something other than a preset.
        TypeError: for a remark that JSON cannot hold.
        ValueError: for another dtype, weights that float16 cannot hold, or a preset to share with that is not one of
            kgen's own or shares with others itself.

    Example:

    ```python
    kgen.presets.save_preset(model, "cat", dtype="float16")
    ```
    """
    import keras

    from kgen.presets.compact_weights import compact_weights

    if dtype not in (None, "float16"):
        raise ValueError(f"save_to_preset: dtype must be None or 'float16'; got {dtype!r}.")
    shared_with = [shared_with] if isinstance(shared_with, str) else list(shared_with)
    for name in shared_with:
        if name not in preset_names() or _shared(preset_description(_OWN / name)):
            raise ValueError(
                "save_to_preset: shared_with must be names of kgen's own presets that share with no others; got "
                f"{name!r}."
            )
    directory = Path(directory)
    if directory.is_file() or (directory.is_dir() and any(directory.iterdir()) and not _is_preset(directory)):
        raise FileExistsError(f"save_to_preset: {directory} exists and is not a preset; choose another directory.")
    directory.mkdir(parents=True, exist_ok=True)
    with whole_file(directory / _MODEL) as partial:
        _save_without_training_state(model, partial)
        used = compact_weights(partial, dtype, {name: _OWN / name / _MODEL for name in shared_with})
        shared = {name: _sha256(_OWN / name / _MODEL) for name in sorted(used)}
        description = {
            "format": _FORMATS[bool(shared)],
            "class": keras.saving.get_registered_name(type(model)),
            # A text encoder has none.
            "image_shape": list(getattr(model, "image_shape", ())) or None,
            "parameters": int(model.count_params()),
            "sha256": {_MODEL: _sha256(partial)},
            **({"shared_with": shared} if shared else {}),
            "remarks": remarks,
        }
        # Before the older model is replaced, in case JSON cannot hold a remark.
        text = json.dumps(description, indent=2) + "\n"
    write_whole(directory / _DESCRIPTION, text)


def load_preset(name: str | os.PathLike, expected: type[keras.Model] | None = None) -> keras.Model:
    """Loads the model of a preset.

    Args:
        name: one of `preset_names()`; a directory that `save_preset` wrote; or where one is to be fetched from,
            `hf://owner/name`, `kaggle://owner/model/keras/variation`, or the URL of a .zip or .tar.gz file of it.
        expected: class that the model must be of, or None.

    Returns:
        The model, ready for use; compile it to train it further.

    Raises:
        ImportError: if the package of a hub is not installed.
        ValueError: for an unknown name, an address where nothing can be fetched, a directory that is not a preset, a
            file that was damaged or changed, or a model of another class.

    Example:

    ```python
    model = kgen.presets.load_preset("openmoji_64")
    model.generate(["a black cat"], seed=0)
    ```
    """
    import keras

    directory = _directory(name)
    description = preset_description(directory)
    if description["format"] > _FORMATS[-1]:
        raise ValueError(
            f"from_preset: {directory} is of format {description['format']}; this kgen reads up to {_FORMATS[-1]}. "
            "Upgrade: pip install --upgrade keras-kgen"
        )
    file = directory / _MODEL
    if not file.is_file() or _sha256(file) != description["sha256"][_MODEL]:
        raise ValueError(f"from_preset: {file} is missing, damaged or changed: it does not match its checksum.")
    with _complete(file, _shared(description)) as complete:
        model = keras.saving.load_model(complete, compile=False)
    if expected is not None and not isinstance(model, expected):
        raise ValueError(
            f"{expected.__name__}.from_preset: {directory} holds a {type(model).__name__}; load it by "
            f"{type(model).__name__}.from_preset."
        )
    return model


def is_preset(name: str | os.PathLike) -> bool:
    """Whether this is the name of a preset that comes with kgen, or a directory that `save_preset` wrote.

    Example:

    ```python
    kgen.presets.is_preset("tiny_minilm_en_zh")      # True
    ```
    """
    return _is_preset(Path(name)) or str(name) in preset_names()


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
            f"from_preset: {directory} holds no preset: {_DESCRIPTION} is missing. save_to_preset makes one."
        )
    return json.loads((directory / _DESCRIPTION).read_text(encoding="utf-8"))


def _directory(name):
    directory = fetched(name) if is_address(name) else Path(name)
    if not directory.is_dir():
        directory = _OWN / str(name)
        if str(name) not in preset_names():
            raise ValueError(
                f"from_preset: there is no preset {str(name)!r}: neither a directory nor one of kgen's own "
                f"({', '.join(preset_names()) or 'none so far'})."
            )
    return directory


def _shared(description):
    return description.get("shared_with", {})


@contextlib.contextmanager
def _complete(file, shared):
    """The file of a model with all its weights."""
    if not shared:
        yield file
        return
    from kgen.presets.compact_weights import completed_weights

    # Never of a directory of that name that a user has.
    others = {name: _OWN / name / _MODEL for name in shared}
    for name, checksum in shared.items():
        if name not in preset_names() or _sha256(others[name]) != checksum:
            raise ValueError(
                f"from_preset: {file} shares weights with a preset {name!r} that this kgen does not have, or has in "
                "another version; take the kgen that it was saved with."
            )
    with tempfile.TemporaryDirectory() as folder:
        complete = Path(folder) / _MODEL
        completed_weights(file, others, complete)
        yield complete


def _is_preset(directory):
    return (directory / _DESCRIPTION).is_file()


def _sha256(file):
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _save_without_training_state(model, file):
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
    """The model and all models in it: a text encoder, for example, may have been compiled by itself."""
    import keras

    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _models_in(layer)
