"""`kgen export`: a model for use without kgen."""

from __future__ import annotations

import argparse
from typing import Any

from kgen.command import outputs
from kgen.command.model_files import HELP, class_of, file_of, load_model
from kgen.command.wrong_use import WrongUse
from kgen.standard_output import results_only

EXAMPLES = """\
  kgen export openmoji_64 openmoji_saved_model
  kgen export openmoji_64 openmoji.onnx --format onnx   # takes token ids, see openmoji.tokenizer.json
  kgen export text_to_image_my_images/model.keras serve/1"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the sub-command."""
    parser.add_argument("model", metavar="MODEL", help=HELP)
    parser.add_argument(
        "output", metavar="PATH", type=outputs.named_path, help="directory to write, or file for other formats"
    )
    # Those of kgen.export, which imports Keras.
    formats = ("tf_saved_model", "onnx", "litert", "openvino", "torch")
    parser.add_argument("--format", choices=formats, default="tf_saved_model", help="output format")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    outputs.add_json(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Writes the model and returns `files` and `run_file`."""
    file = file_of(options.model)
    output = outputs.output_of(options, options.output)
    with results_only():
        from kgen.export import check_target

        try:
            check_target(output, options.format)
        except ValueError as error:
            raise WrongUse(str(error)) from None
        if class_of(options.model) == "TextEncoder":
            raise WrongUse(f"{options.model} is a TextEncoder, which has no export of its own; export a model with it.")
        model = load_model(options.model)
        model.export(output, format=options.format)
        written = outputs.write_run_file(options, output, outputs.digests(file))
    return {"files": [str(output)], "run_file": written, "model": options.model, "format": options.format}
