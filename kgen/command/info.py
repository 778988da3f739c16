"""`kgen info`: describes a model without loading it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kgen.command import outputs
from kgen.command.model_files import HELP, class_of, file_of
from kgen.keras_file import read_config
from kgen.presets import preset_description

EXAMPLES = """\
  kgen info openmoji_64
  kgen info text_to_image_my_images/model.keras --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the sub-command."""
    parser.add_argument("model", metavar="MODEL", help=HELP)
    outputs.add_json(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The facts of a model."""
    return facts(options.model)


def lines(result: dict[str, Any]) -> Iterable[str]:
    """One line per fact."""
    shown = {**result, "image_shape": size_of(result["image_shape"]), "bytes": f"{result['bytes']:,}"}
    if result["parameters"] is not None:
        shown["parameters"] = f"{result['parameters']:,}"
    return [f"{name}: {value}" for name, value in shown.items() if value not in (None, {}, "")]


def facts(name: str) -> dict[str, Any]:
    """The facts about a model in its file.

    Raises:
        OSError, ValueError, WrongUse: as `kgen.command.model_files.class_of`.
    """
    file = file_of(name)
    found: dict[str, Any] = {"name": name, "class": class_of(name), "file": str(file), "bytes": file.stat().st_size}
    if file != Path(name).expanduser():
        described = preset_description(file.parent)
        shape, parameters, remarks = (described.get(key) for key in ("image_shape", "parameters", "remarks"))
        if shared := list(described.get("shared_with", ())):
            found["shares_weights_with"] = shared
    else:
        parameters, remarks = None, {}
        shape = read_config(file)["config"].get("image_shape")
    return {**found, "image_shape": _plain(shape), "parameters": parameters, "remarks": remarks}


def size_of(shape: Any) -> str:
    """A shape `(height, width, channels)` in words."""
    if not shape:
        return ""
    height, width, channels = shape
    return f"any size, {channels} channels" if None in (height, width) else f"{height} x {width}, {channels} channels"


def _plain(shape):
    # Keras writes tuples as dicts.
    return shape.get("config", {}).get("value", None) if isinstance(shape, dict) else shape
