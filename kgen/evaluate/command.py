"""The command: options in, a table and a JSON file out."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import warnings
from pathlib import Path

import keras
import numpy as np

import kgen
from kgen.data import PictureFolder
from kgen.evaluate.sources import source_of
from kgen.metrics import (
    ClassifierScore,
    DensityCoverage,
    DualFeatureExtractor,
    FeatureExtractor,
    FrechetDistance,
    KernelDistance,
    PrecisionRecall,
    ReconstructionError,
    ReferenceStatistics,
    TextAlignment,
    reference_statistics,
    update_all,
)

_METRICS = {
    "frechet_distance": FrechetDistance,
    "kernel_distance": KernelDistance,
    "precision_recall": PrecisionRecall,
    "density_coverage": DensityCoverage,
    "classifier_score": ClassifierScore,
    "reconstruction_error": ReconstructionError,
}
_DEFAULT = ["frechet_distance", "kernel_distance", "precision_recall", "density_coverage"]
# Pictures that are in memory at once.
_CHUNK = 512


def main(arguments=None):
    """Measures how near generated pictures, those of a folder or of a saved model, are to real ones."""
    options = _parse(arguments)
    start = time.time()
    try:
        # Standard output is for the table.
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            # The message alone, once, without the line of code that it comes from.
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = lambda message, *_, **__: print(f"Note: {message}", file=sys.stderr)
            report = evaluate(options)
        report["seconds"] = round(time.time() - start, 1)
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(report, indent=2) + "\n")
    except (OSError, TypeError, ValueError, ImportError) as error:
        sys.exit(f"kgen.evaluate: {error}")
    print(table(report))
    return report


def _parse(arguments):
    parser = argparse.ArgumentParser(
        "python -m kgen.evaluate", description=main.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("generated", help="folder of pictures; or a .keras file, a preset, a SavedModel")
    parser.add_argument("real", type=Path, help="folder of pictures; or an .npz file of reference statistics")
    parser.add_argument("--metrics", nargs="+", choices=list(_METRICS), default=_DEFAULT, help="what to measure")
    parser.add_argument("--features", default="efficientnet_lite0", help="name of a feature extractor")
    parser.add_argument("--classifier", default="efficientnet_lite0_probabilities", help="of classifier_score")
    parser.add_argument("--clip", metavar="PRESET", help="also text_alignment in the features of this KerasHub CLIP")
    parser.add_argument("--image-size", type=int, help="pixels a side; by default those of the first generated picture")
    parser.add_argument("--num-images", type=int, default=5000, help="at most so many generated pictures")
    parser.add_argument("--prompts", type=Path, help="text file with a prompt a line; else the real folder's captions")
    parser.add_argument("--seed", type=int, default=0, help="of the first generated picture")
    parser.add_argument("--batch-size", type=int, default=64, help="pictures computed at once")
    parser.add_argument("--reference", type=Path, help=".npz file to keep the real pictures' statistics in")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    options = parser.parse_args(arguments)
    if min(options.num_images, options.batch_size, 1 if options.image_size is None else options.image_size) < 1:
        parser.error("--num-images, --batch-size and --image-size must be at least 1")
    return options


def evaluate(options):
    """The numbers that the options ask for, with what they are of, as a dict for JSON."""
    names = list(dict.fromkeys(options.metrics))
    extractor = FeatureExtractor.of(options.features)
    source = source_of(options)
    if options.clip and source.prompts is None:
        raise ValueError("--clip measures what a text says, which only a model that draws from prompts has.")
    partners = _partners(options, source) if "reconstruction_error" in names else None
    compared = set(names) - {"reconstruction_error", "classifier_score"}
    reference = _reference(options, extractor, source.image_shape) if compared else None
    metrics = [_metric(name, options, extractor, reference) for name in names]
    alignment = [TextAlignment(DualFeatureExtractor.clip(options.clip))] if options.clip else []
    print(f"{len(source)} generated pictures of {options.generated}")
    # Of a text that comes again the first picture counts: no picture could find it among its copies.
    spoken = list({text: i for i, text in reversed([*enumerate(source.prompts)])}.values()) if alignment else []
    progress, done = keras.utils.Progbar(len(source), unit_name="image"), 0
    for images in source.batches(_CHUNK):
        update_all(metrics, next(partners) if partners else None, images)
        if rows := [i for i in spoken if done <= i < done + len(images)]:
            update_all(alignment, [source.prompts[i] for i in rows], images[np.subtract(rows, done)])
        done += len(images)
        progress.update(done)
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


def table(report):
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
    lines.append(f"{report['generated_count']} generated pictures{real}, {height} x {width} pixels")
    return "\n".join(lines)


def _numbers(metric):
    """What a report says of each number of a metric."""
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


def _metric(name, options, extractor, reference):
    kind = _METRICS[name]
    if kind is ClassifierScore:
        return kind(options.classifier)
    if kind is ReconstructionError:
        return kind(extractor if extractor.maps is not None else None)
    return kind(extractor, reference=reference)


def _reference(options, extractor, image_shape):
    """Statistics of the real pictures, read as large and with as many channels as the generated ones."""
    if options.real.suffix == ".npz":
        reference = ReferenceStatistics.load(options.real)
        reference.check_image_shape("--real", image_shape)
        return reference
    print(f"real pictures of {options.real}")
    folder = _folder(options.real, image_shape)
    return reference_statistics(folder, extractor, file=options.reference, batch_size=options.batch_size)


def _partners(options, source):
    """Batches of the real pictures that have the names of the generated ones."""
    real = _folder(options.real, source.image_shape, limit=options.num_images, on_error="raise")
    if source.files != real.files:
        raise ValueError("reconstruction_error holds pictures of the same file name in two folders against each other.")
    return real.batches(_CHUNK)


def _folder(path, image_shape, **options):
    height, width, channels = image_shape
    if height != width:
        raise ValueError(f"folders are read as square pictures, but the model's are {height} x {width}.")
    return PictureFolder(path, height, channels, **options)
