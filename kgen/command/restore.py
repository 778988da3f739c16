"""`kgen restore`: improves photographs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kgen.command import outputs
from kgen.command.image_files import BLACK, SUFFIXES, beside, read_whole_image, write_image
from kgen.command.model_files import HELP, check_class, file_of, load_model
from kgen.command.wrong_use import WrongUse
from kgen.standard_output import results_only

EXAMPLES = """\
  kgen restore noisy.png --preset denoise_photo -o clean.png
  kgen restore small.jpg --preset upscale_photo_2x                      # into small_restored.png
  kgen restore old.png --preset inpaint_photo --mask scratches.png      # white where something is missing
  kgen restore *.jpg --preset denoise_photo -o clean                    # a folder with one file per image"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the sub-command."""
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="image files of any size")
    parser.add_argument("--preset", metavar="MODEL", default="denoise_photo", help=f"{HELP}; an ImageRestorer")
    parser.add_argument(
        "--mask",
        metavar="IMAGE",
        nargs="+",
        type=Path,
        help="missing areas in white: one mask per image, or one for all",
    )
    outputs.add_arguments(parser, "file to write; no suffix: a folder; default: IMAGE_restored.png")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Restores images and returns `files` and `run_file`."""
    check_class(options.preset, "ImageRestorer")
    several = len(options.images) > 1
    first = options.images[0]
    otherwise = "restored" if several else beside(first, "restored")
    output = outputs.output_of(options, otherwise, [""] if several else ["", *SUFFIXES])
    images = [read_whole_image(path) for path in options.images]
    masks = _masks(options.mask, options.images, images)
    inputs = outputs.digests(file_of(options.preset), *options.images, *(options.mask or []))
    names = [f"{path.stem}.png" for path in options.images]
    if not output.suffix and len(set(names)) < len(names):
        raise WrongUse("two images have the same name and would share one file; restore them one at a time.")
    with results_only():
        model = load_model(options.preset)
        if model.masked != (masks is not None):
            wanted = (
                "needs --mask, white where something is missing"
                if model.masked
                else "does not fill in missing areas; leave out --mask"
            )
            raise WrongUse(f"{options.preset} {wanted}.")
        restored = model.restore(images, masks, verbose=0 if options.quiet else "auto")
        files = [output / name for name in names] if not output.suffix else [output]
        if not output.suffix:
            outputs.emptied(output)
        for file, image in zip(files, restored):
            write_image(file, image)
        written = outputs.write_run_file(options, output, inputs)
    return {"files": [str(file) for file in files], "run_file": written, "model": options.preset}


def _masks(paths, image_paths, images):
    if paths is None:
        return None
    if len(paths) not in (1, len(images)):
        raise WrongUse(f"--mask: give one for all images, or one for each; got {len(paths)} for {len(images)}.")
    masks = []
    for path, image_path, image in zip(paths * (len(images) // len(paths)), image_paths, images):
        mask = read_whole_image(path, BLACK)
        if mask.shape[:2] != image.shape[:2]:
            raise ValueError(
                f"the mask '{path}' must be as large as '{image_path}', {image.shape[1]} x {image.shape[0]} pixels; it "
                f"is {mask.shape[1]} x {mask.shape[0]}."
            )
        # JPEG turns edges into grey levels in between.
        masks.append((mask.mean(axis=-1) >= 128).astype("uint8"))
    return masks
