"""Photo restoration: learns from clean photos alone to remove noise, to enlarge, or to fill in missing parts.

    python examples/restore_photos.py                               # removes noise; trains on scikit-image's photos
    python examples/restore_photos.py --task upscale --data my_photos
    python examples/restore_photos.py --restore old.png             # uses the trained model

Tasks: denoise; upscale (twice as large); inpaint (fill in missing parts); old (blur, noise and JPEG). Writes to
--output: NAME_before.png and NAME_after.png for each held-out photo, and model.keras, to continue training or to
restore. kgen also ships trained networks: notebooks/enhancement_and_style.ipynb.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Without AVX-512 TensorFlow turns these convolutions off, though they are two to three times as fast.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

TASKS = ("denoise", "upscale", "inpaint", "old")


def main():
    options = parse_arguments()
    if options.restore:
        restore(options)
    else:
        train(options)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--task", choices=TASKS, default="denoise", help="what the model learns to undo")
    parser.add_argument("--output", type=Path, default=Path("restore_photos"), help="directory for the results")
    parser.add_argument("--restore", nargs="+", type=Path, metavar="FILE", help="use the trained model on images")
    parser.add_argument("--data", type=Path, help="folder of photos; default: those of scikit-image and scikit-learn")
    parser.add_argument("--held-out", type=int, default=2, help="how many photographs to test on: the last ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patches", type=int, default=2000, help="how many squares to cut from the photographs")
    parser.add_argument("--epochs", type=int, default=6, help="passes over the patches")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--filters", type=int, default=32, help="network width; more filters are slower and better")
    return parser.parse_args()


def photographs(options):
    """A dict from names to uint8 images."""
    import numpy as np
    from PIL import Image, ImageOps

    if options.data is None:
        try:
            import skimage.data
            import sklearn.datasets
        except ImportError as error:
            sys.exit(f"{error}. Give photographs by --data, or: pip install scikit-image scikit-learn")
        images = {name: getattr(skimage.data, name)() for name in ("astronaut", "coffee", "rocket")}
        images |= {name: sklearn.datasets.load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
        return images | {"chelsea": skimage.data.chelsea()}
    images = {}
    for file in sorted(file for file in options.data.rglob("*") if file.is_file()):
        try:
            with Image.open(file) as image:
                image = ImageOps.exif_transpose(image).convert("RGB")
        except OSError as error:
            print(f"Left out: {error}")
            continue
        # At full size, photographs straight from a camera are soft and noisy.
        image.thumbnail((1200, 1200), Image.Resampling.LANCZOS)
        place = file.relative_to(options.data)
        name = "_".join(place.with_suffix("").parts)
        images["_".join(place.parts) if name in images else name] = np.asarray(image)
    if len(images) <= options.held_out:
        sys.exit(f"There are {len(images)} photographs in {options.data}; more than --held-out are needed.")
    return images


def degradations(task):
    from kgen.layers import Blur, Downscale, GaussianNoise, JpegCompression, RandomMask

    return {
        "denoise": [GaussianNoise((0, 50))],
        "upscale": [Downscale(2), JpegCompression((40, 95), probability=0.5)],
        "inpaint": [RandomMask((0.1, 0.6), (1, 8))],
        "old": [Blur((0, 1)), GaussianNoise((0, 20)), JpegCompression((30, 90))],
    }[task]


def train(options):
    start = time.time()
    try:
        # First, so that mistakes in --data show before the slow imports.
        images = photographs(options)
        import keras
        import numpy as np
        from PIL import Image

        import kgen
    except ImportError as error:
        sys.exit(f"{error}. Install kgen first: pip install -e .")

    names = list(images)
    shown = names[len(names) - options.held_out :]
    seen = [images[name] for name in names if name not in shown]
    patches = kgen.data.random_patches(seen, 64, options.patches, options.seed)
    kgen.files.check_writable("--output", options.output / "model.keras")  # before the work, not after it
    keras.utils.set_random_seed(options.seed)
    layers, scale = degradations(options.task), 2 if options.task == "upscale" else 1
    masked = options.task == "inpaint"
    network = kgen.networks.restoration_network(3, scale, masked, filters=options.filters, blocks=3)
    restorer = kgen.models.ImageRestorer(layers, scale, network=network, ema_momentum=0.99, seed=options.seed)
    steps = options.epochs * -(-len(patches) // options.batch_size)
    restorer.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)))
    verbose = 1 if sys.stdout.isatty() else 2
    restorer.fit(patches, epochs=options.epochs, batch_size=options.batch_size, verbose=verbose)

    restorer.save(options.output / "model.keras")
    seeds, report = keras.random.SeedGenerator(options.seed), {}
    for name in shown:
        clean = images[name][: images[name].shape[0] // 4 * 4, : images[name].shape[1] // 4 * 4]
        spoiled = 255 * keras.ops.convert_to_numpy(restorer.degraded(clean[None] / np.float32(255), seeds))[0]
        before = spoiled[..., :3].round().astype("uint8")
        after = restorer.restore(before, spoiled[..., 3] if masked else None, verbose=0)
        Image.fromarray(after).save(options.output / f"{name}_after.png")
        before = Image.fromarray(before).resize(after.shape[1::-1], Image.Resampling.BICUBIC)
        before.save(options.output / f"{name}_before.png")
        report[name] = [round(decibels(clean, np.asarray(each)), 2) for each in (before, after)]
        print(f"{name}: PSNR {report[name][0]} dB before, {report[name][1]} dB after")
    report["seconds"] = round(time.time() - start, 1)
    (options.output / "report.json").write_text(json.dumps(report) + "\n")
    print(f"In {options.output}, after {report['seconds']} s: images before and after, model.keras.")


def decibels(clean, other):
    import kgen

    pair = (each[None].astype("float32") for each in (clean, other))
    return float(kgen.metrics.peak_signal_to_noise_ratio(*pair)[0])


def restore(options):
    """Restores images of any size. A model of the task inpaint fills in fully transparent pixels."""
    model = options.output / "model.keras"
    if not model.is_file():
        sys.exit(f"There is no trained model in {options.output}. Train one first: python {sys.argv[0]}")
    missing = [str(file) for file in options.restore if not file.is_file()]
    if missing:
        sys.exit(f"There is no such image: {', '.join(missing)}")
    import keras
    import numpy as np
    from PIL import Image

    import kgen  # noqa: F401  load_model knows its classes by it

    restorer = keras.saving.load_model(model)
    for file in options.restore:
        with Image.open(file) as image:
            transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            pixels = np.asarray(image.convert("RGBA" if transparent or restorer.masked else "RGB"))
        if restorer.masked:
            restored = restorer.restore(pixels[..., :3], pixels[..., 3] == 0)
        else:
            restored = restorer.restore(pixels)
        made = options.output / f"{file.stem}_restored.png"
        Image.fromarray(restored).save(made)
        print(made)


if __name__ == "__main__":
    main()
