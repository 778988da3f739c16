"""`kgen generate`: images from prompts, or from a GAN or a VAE."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Any

from kgen.command import outputs
from kgen.command.model_files import HELP, check_class, file_of, load_model
from kgen.command.wrong_use import WrongUse
from kgen.option_types import number, seed, whole_number
from kgen.standard_output import results_only

EXAMPLES = """\
  kgen generate openmoji_64 "a smiling cat" -o cat.png
  kgen generate openmoji_64 "a red apple" "a black cat" -o both.png     # a grid
  kgen generate openmoji_64 "a red apple" "a black cat" -o images       # a folder: a file for each, and captions.csv
  kgen generate openmoji_64 "a cat" --negative black --seed 7 --scale 4 # the same image every time
  kgen generate my_gan.keras --num 16 --truncation 0.7 -o samples.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the sub-command."""
    parser.add_argument("model", metavar="MODEL", help=HELP)
    parser.add_argument("prompts", metavar="PROMPT", nargs="*", help="what to draw; none for a GAN or a VAE")
    what = "PATH.png: one image, or a grid of several; no suffix: a folder of files; default: named after the prompt"
    outputs.add_arguments(parser, what)
    parser.add_argument("--num", metavar="N", type=whole_number(1), default=1, help="images per prompt")
    parser.add_argument("--seed", type=seed, help="the same seed draws the same image; default: random, but recorded")
    parser.add_argument("--negative", metavar="PROMPT", help="what not to show; for models that remember captions")
    parser.add_argument(
        "--guidance", metavar="X", type=number(0), help="guidance strength; for models that remember captions"
    )
    parser.add_argument("--truncation", metavar="X", type=number(0), help="largest absolute value of a latent number")
    parser.add_argument(
        "--labels", metavar="K", nargs="+", type=whole_number(0), help="classes to draw, for a model with classes"
    )
    parser.add_argument(
        "--scale", metavar="N", type=whole_number(1), default=1, help="scale factor for width and height"
    )
    parser.add_argument("--batch-size", metavar="N", type=whole_number(1), default=64, help="images computed at once")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Draws images and returns `files`, `run_file`, `seed` and `prompts`."""
    kind = check_class(options.model, "TextToImage", "GAN", "VAE")
    asked = _asked(options, kind)
    prompts = [" ".join(prompt.split()) for prompt in options.prompts]
    output = outputs.output_of(options, f"{_name(prompts, options.model)}.png", ("", ".png"))
    if output.suffix == "" and options.scale != 1:
        raise WrongUse("--scale needs one image or a grid; -o must end in .png.")
    drawn = random.SystemRandom().randrange(2**31) if options.seed is None else None
    asked["seed"] = drawn if options.seed is None else options.seed
    with results_only():
        model = load_model(options.model)
        images = model.generate(
            **asked,
            truncation=options.truncation,
            batch_size=options.batch_size,
            verbose=0 if options.quiet else "auto",
        )
        images = images[None] if images.ndim == 3 else images
        captions = [prompt for prompt in prompts for _ in range(options.num)]
        files = _write(output, images, captions, options, asked["seed"])
        written = outputs.write_run_file(options, output, outputs.digests(file_of(options.model)), drawn)
    if options.output is None:
        print(f"kgen generate: the image is in {output}", file=sys.stderr)
    return {
        "files": files,
        "run_file": written,
        "model": options.model,
        "prompts": prompts,
        "seed": asked["seed"],
        "shape": list(images.shape),
    }


def _asked(options, kind):
    """Arguments of `generate` for this kind of model; refuses options that the model does not have."""
    if kind == "TextToImage":
        if not options.prompts:
            raise WrongUse(f"{options.model} draws from prompts; give at least one.")
        if not all(prompt.strip() for prompt in options.prompts):
            raise WrongUse("a prompt is empty; say what to draw.")
        if options.labels is not None:
            raise WrongUse("--labels are only for a GAN or a VAE with classes.")
        return {
            "prompts": options.prompts,
            "num_images": options.num,
            "negative_prompts": options.negative,
            "guidance_scale": options.guidance,
        }
    if options.prompts or options.negative is not None or options.guidance is not None:
        raise WrongUse(f"{options.model} is a {kind}, which takes no prompts; leave out prompts and guidance.")
    return {"num_images": options.num, "labels": options.labels}


def _write(output, images, captions, options, seed):
    from kgen.visualization import save_images

    texts = [_texts(options, captions[i : i + 1], seed) for i in range(len(images))]
    if not output.suffix:
        if options.overwrite:
            outputs.emptied(output)
        save_images(output, images, captions or None, texts=texts)
        return [str(path) for path in sorted(output.glob("*.png"))]
    if len(images) == 1:
        save_images(output, images, scale=options.scale, margin=0, texts=texts)
    else:
        several = len(options.prompts) > 1
        columns = options.num if several and options.num > 1 else None
        texts = [_texts(options, options.prompts, seed)]
        save_images(output, images, captions if several else None, columns, options.scale, texts=texts)
    return [str(output)]


def _texts(options, prompts, seed):
    """The texts to store in each PNG."""
    facts = {
        "prompt": "\n".join(prompts),
        "negative_prompt": options.negative,
        "seed": str(seed),
        "model": options.model,
    }
    return {name: value for name, value in facts.items() if value}


def _name(prompts, model):
    text = prompts[0] if prompts else Path(model).stem
    return "".join(letter if letter.isalnum() else "_" for letter in text)[:60].strip("_") or "image"
