"""The command: options in, a table and a JSON file out."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import kgen
from kgen.data import ImageFolder
from kgen.data.image_folder import same_name
from kgen.evaluate.sources import Source, source_of
from kgen.files import check_writable, write_whole
from kgen.metrics import (
    DualFeatureExtractor,
    FeatureExtractor,
    ReferenceStatistics,
    TextAlignment,
    reference_statistics,
    update_all,
)
from kgen.metrics.by_name import CLASSIFIER, FEATURES, METRICS, named_metric
from kgen.metrics.text_alignment import first_of_each
from kgen.option_types import whole_number
from kgen.progress import Progress
from kgen.standard_output import results_only
from kgen.types import Array, ImageShape

_DEFAULT = ["frechet_distance", "kernel_distance", "precision_recall", "density_coverage"]
# How many images are in memory at once.
_CHUNK = 512


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measures how close generated images, from a folder or a saved model, are to real ones.

    Args:
        arguments: the command line's arguments; None: those of this process.

    Returns:
        The report that `--json` writes, as a dict.

    Example:

    ```python
    report = kgen.evaluate.main(["generated", "real", "--metrics", "frechet_distance"])
    report["numbers"][0]["value"]
    ```
    """
    parser = argparse.ArgumentParser(
        "python -m kgen.evaluate",
        description=str(main.__doc__).partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_arguments(parser)
    try:
        report = run(parser.parse_args(arguments))
    except (OSError, TypeError, ValueError, ImportError) as error:
        sys.exit(f"kgen.evaluate: {error}")
    return report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("generated", help="folder of images, .keras file, preset or SavedModel")
    parser.add_argument("real", type=Path, help="folder of images, or .npz file of reference statistics")
    parser.add_argument("--metrics", nargs="+", choices=list(METRICS), default=_DEFAULT, help="what to measure")
    parser.add_argument("--features", default=FEATURES, help="name of a feature extractor")
    parser.add_argument("--classifier", default=CLASSIFIER, help="classifier for classifier_score")
    parser.add_argument("--clip", metavar="PRESET", help="also measure text_alignment with this KerasHub CLIP")
    parser.add_argument(
        "--image-size", type=whole_number(1), help="side in pixels; by default that of the first generated image"
    )
    parser.add_argument("--num-images", type=whole_number(1), default=5000, help="at most this many generated images")
    parser.add_argument(
        "--prompts", type=Path, help="text file, one prompt per line; by default the real folder's captions"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the first generated image")
    parser.add_argument("--batch-size", type=whole_number(1), default=64, help="images computed at once")
    parser.add_argument("--reference", type=Path, help=".npz file to store the real images' statistics in")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures, prints the table, writes the file of `--json`, and returns the report.

    Raises:
        OSError, TypeError, ValueError, ImportError: for anything that makes it impossible.
    """
    start = time.time()
    # Fails now rather than at the end of the work.
    file = None if options.json is None else check_writable("--json", options.json)
    # Keeps standard output free for the table.
    with results_only():
        report = evaluate(options)
    report["seconds"] = round(time.time() - start, 1)
    print(table(report), flush=True)
    if file is not None:
        write_whole(file, json.dumps(report, indent=2) + "\n")
    return report


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """The numbers that the options ask for, and how they were computed, as a dict for JSON."""
    names = list(dict.fromkeys(options.metrics))
    extractor: Any = FeatureExtractor.of(options.features)
    source = source_of(options)
    prompts = source.prompts or []
    if options.clip and not prompts:
        raise ValueError("--clip compares images with their prompts, so it needs a model that draws from prompts.")
    partners = _partners(options, source) if "reconstruction_error" in names else None
    compared = set(names) - {"reconstruction_error", "classifier_score"}
    reference = _reference(options, extractor, source.image_shape) if compared else None
    metrics = [_metric(name, options, extractor, reference) for name in names]
    alignment = [TextAlignment(DualFeatureExtractor.clip(options.clip))] if options.clip else []
    print(f"{len(source)} generated images of {options.generated}")
    spoken = first_of_each(prompts) if alignment else []
    progress, done = Progress(len(source), verbose=1), 0
    for images in source.batches(_CHUNK):
        update_all(metrics, next(partners) if partners else None, images)
        if rows := [i for i in spoken if done <= i < done + len(images)]:
            update_all(alignment, [prompts[i] for i in rows], images[np.subtract(rows, done)])
        done += len(images)
        progress.add(len(images))
    return {
        "generated": options.generated,
        "real": str(options.real),
        "generated_count": done,
        "real_count": reference.moments.count if reference else done if partners else None,
        "image_shape": list(source.image_shape),
        "seed": options.seed,
        "numbers": [number for metric in [*metrics, *alignment] for number in _numbers(metric)],
        "extractor": extractor.key,
        "kgen": kgen.__version__,
    }


def table(report: dict[str, Any]) -> str:
    """The numbers of a report as lines of text."""
    rows = [("measure", "value", "better", "features")]
    for number in report["numbers"]:
        value = "undefined" if number["value"] is None else f"{number['value']:.6g}"
        rows.append((number["name"], value, number["better"], number["features"]))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "-" * len(max(lines, key=len)))
    height, width, _ = report["image_shape"]
    real = f" against {report['real_count']} real ones" if report["real_count"] else ""
    lines.append(f"{report['generated_count']} generated images{real}, {height} x {width} pixels")
    return "\n".join(lines)


def _numbers(metric: Any) -> list[dict[str, Any]]:
    """The entries of a report for each number of a metric."""
    extractor = metric.feature_extractor
    return [
        {
            "name": name,
            "value": value if np.isfinite(value) else None,
            "better": {"min": "lower", "max": "higher"}[metric.directions[name]],
            "features": extractor.name if extractor and name.endswith(extractor.name) else "pixels",
        }
        for name, value in metric.results().items()
    ]


def _metric(
    name: str, options: argparse.Namespace, extractor: FeatureExtractor, reference: ReferenceStatistics | None
) -> Any:
    if name in ("classifier_score", "reconstruction_error"):
        return named_metric(name, extractor, options.classifier)
    return named_metric(name, extractor, reference=reference)


def _reference(
    options: argparse.Namespace, extractor: FeatureExtractor, image_shape: ImageShape
) -> ReferenceStatistics:
    """Statistics of the real images, read with the size and channels of the generated ones."""
    if options.real.suffix == ".npz":
        reference = ReferenceStatistics.load(options.real)
        reference.check_image_shape("--real", image_shape)
        return reference
    print(f"real images of {options.real}")
    folder = _folder(options.real, image_shape)
    return reference_statistics(folder, extractor, file=options.reference, batch_size=options.batch_size)


def _partners(options: argparse.Namespace, source: Source) -> Iterator[Array]:
    """Batches of the real images with the same file names as the generated ones."""
    real = _folder(options.real, source.image_shape, limit=options.num_images, on_error="raise")
    if source.files is None or list(map(same_name, source.files)) != list(map(same_name, real.files)):
        raise ValueError("reconstruction_error compares two folders, which must have the same file names.")
    return real.batches(_CHUNK)


def _folder(path: Path, image_shape: ImageShape, **options: Any) -> ImageFolder:
    height, width, channels = image_shape
    if height != width:
        raise ValueError(f"folders are read as square images, but the model's are {height} x {width}.")
    return ImageFolder(path, height, channels, **options)
