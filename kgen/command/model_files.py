"""Finds models by the name that a user gives: presets, directories, .keras files."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from kgen import presets
from kgen.command.quick_start import import_keras
from kgen.command.wrong_use import WrongUse
from kgen.keras_file import load_keras_file, read_config
from kgen.presets import load_preset, preset_description, preset_names
from kgen.presets.hub import fetched, is_address

HELP = "a preset (see kgen presets), a directory written by save_to_preset, a .keras file, or hf://OWNER/NAME"


def file_of(name: str) -> Path:
    """The file that holds a model's weights.

    Args:
        name: as `HELP` says.

    Raises:
        FileNotFoundError: if there is no such file, or no preset in the directory.
        WrongUse: for a name that is not a preset's.
    """
    if is_address(name):
        return _fetched_once(name) / "model.keras"
    path = Path(name).expanduser()
    if (path / "preset.json").is_file():
        return path / "model.keras"
    if name in preset_names():
        return Path(str(presets.__file__)).parent / name / "model.keras"
    if path.is_dir():
        raise FileNotFoundError(f"'{path}' contains no preset; save_to_preset writes one.")
    if path.suffix == ".keras":
        if not path.is_file():
            raise FileNotFoundError(f"there is no file '{path}'.")
        return path
    raise WrongUse(
        f"there is no model {name!r}. Give a .keras file, a directory written by save_to_preset, or a preset of kgen: "
        f"{', '.join(preset_names())}."
    )


# A command asks for the file several times, but should ask a hub only once.
_fetched_once = functools.cache(fetched)


def class_of(name: str) -> str:
    """The class of a model, such as "TextToImage", without loading it.

    Raises:
        OSError, WrongUse: as `file_of`.
        ValueError: if the file is not a Keras model.
    """
    file = file_of(name)
    if file != Path(name).expanduser():
        return preset_description(file.parent)["class"].split(">")[-1]
    return read_config(file)["class_name"]


def check_class(name: str, *wanted: str) -> str:
    """The class of a model, if it is one of the wanted ones, without loading it.

    Raises:
        OSError, ValueError: as `class_of`.
        WrongUse: for any other class.
    """
    found = class_of(name)
    if found not in wanted:
        raise WrongUse(f"{name} is of class {found}; this command takes {', '.join(wanted)}.")
    return found


def load_model(name: str) -> Any:
    """The model itself, ready for use.

    Raises:
        OSError, ValueError: as `class_of` and `kgen.presets.load_preset`.
    """
    file = file_of(name)
    import_keras(reads_text=class_of(name) in ("TextToImage", "DualEncoder"))
    return load_keras_file(file) if file == Path(name).expanduser() else load_preset(file.parent)
