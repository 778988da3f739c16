"""`kgen classify`: says what images show."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kgen.command import outputs
from kgen.command.model_files import HELP, check_class, load_model
from kgen.command.wrong_use import WrongUse
from kgen.option_types import whole_number
from kgen.standard_output import results_only

EXAMPLES = """\
  kgen classify clothes.keras shoe.png bag.png
  kgen classify clothes.keras *.png --top 1 --json
  kgen classify matching.keras photo.jpg --names "a cat" "a dog"        # a DualEncoder needs class names"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the sub-command."""
    parser.add_argument("model", metavar="MODEL", help=HELP)
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="image files; the centre square is used")
    parser.add_argument("--top", metavar="K", type=whole_number(1), default=3, help="number of classes to show")
    parser.add_argument("--names", metavar="NAME", nargs="+", help="names of the classes, in order")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    outputs.add_json(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """`{"images": [{"file", "classes": [{"name", "probability"}]}]}`."""
    kind = check_class(options.model, "ImageClassifier", "DualEncoder", "GAN", "VAE")
    if kind == "DualEncoder" and not options.names:
        raise WrongUse(f"{options.model} is a DualEncoder, which has no classes of its own; name them with --names.")
    for path in options.images:
        if not path.is_file():
            raise FileNotFoundError(f"there is no file '{path}'.")
    with results_only():
        model = load_model(options.model)
        import numpy as np

        from kgen.data.read_image import read_image

        height, width, channels = model.image_shape
        if height != width:
            raise ValueError(f"the model takes images of {height} x {width} pixels, but files are read as squares.")
        images = np.stack([_read(read_image, path, height, channels) for path in options.images])
        count = len(options.names) if kind == "DualEncoder" else getattr(model, "num_classes", None)
        asked = {"top": min(options.top, count) if count else options.top}
        asked["verbose"] = 0 if options.quiet else "auto"
        known = inspect.signature(model.classify).parameters
        found = model.classify(images, options.names, **{name: asked[name] for name in asked if name in known})
    return {
        "model": options.model,
        "images": [
            {"file": str(path), "classes": [{"name": str(name), "probability": float(share)} for name, share in best]}
            for path, best in zip(options.images, found)
        ],
    }


def lines(result: dict[str, Any]) -> Iterable[str]:
    """One line per image, with its classes."""
    for each in result["images"]:
        yield f"{each['file']}: " + ", ".join(f"{one['name']} {one['probability']:.1%}" for one in each["classes"])


def _read(read_image, path, size, channels):
    try:
        return read_image(path, size, channels)
    except Exception as error:  # noqa: BLE001  (Pillow's decoders raise a dozen types for broken files)
        raise OSError(f"'{path}' cannot be read as an image ({error}).") from error
