"""A class-conditional GAN on Fashion-MNIST: trained, measured, saved, and exported as a SavedModel.

    python examples/gan_fashion_mnist.py                                  # trains, in three minutes on two cores
    python examples/gan_fashion_mnist.py --generate sneaker bag           # uses the trained model
    python examples/gan_fashion_mnist.py --limit 60000 --epochs 5 --output longer     # half an hour, and better

Writes to --output: model.keras (to continue training), saved_model/ (for deployment), samples/ (a grid after each
epoch), images.png (a row for each class), and between.png (interpolations between two images). An interrupted run
continues when you start it again with the same options; other options are refused. Explained in notebooks/gan.ipynb.
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


def main():
    options = parse_arguments()
    if options.generate:
        generate(options)
    else:
        train(options)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("gan_fashion_mnist"), help="directory for the results")
    parser.add_argument("--generate", nargs="+", metavar="NAME", help="use the trained model instead of training")
    parser.add_argument("--seed", type=int, default=0, help="for training, or for the generated images")
    parser.add_argument("--data", type=Path, help="folder with the four idx files; default: where kgen finds them")
    parser.add_argument("--epochs", type=int, default=2, help="passes over the images")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--architecture", default="auto", help="of both networks, as in GAN.from_image_shape")
    parser.add_argument("--conditioning", default="projection", choices=["projection", "classifier"])
    parser.add_argument("--limit", type=int, default=20_000, help="use this many of the 60,000 images; more are better")
    options = parser.parse_args()
    if options.epochs < 1 or options.batch_size < 1:
        parser.error("--epochs and --batch-size must be at least 1")
    return options


def train(options):
    start = time.time()
    try:
        import keras
        import numpy as np

        import kgen
    except ImportError as error:
        sys.exit(f"{error}. Install kgen first: pip install -e .")

    # The networks' first weights come from Keras' own random numbers.
    keras.utils.set_random_seed(options.seed)
    names = kgen.data.FASHION_MNIST_NAMES
    images, labels = (each[: options.limit] for each in kgen.data.fashion_mnist("train", path=options.data))
    held_out = [each[: min(options.limit, 2000)] for each in kgen.data.fashion_mnist("test", path=options.data)]
    gan = kgen.models.GAN.from_image_shape(
        images.shape[1:],
        num_classes=len(names),
        architecture=options.architecture,
        conditioning=options.conditioning,
        seed=options.seed,
    )
    gan.compile(metrics=[kgen.metrics.PrecisionRecall("pixels", max_samples=2000)])

    named = ("epochs", "batch_size", "seed", "architecture", "conditioning")
    run = {"data": str(options.data), "images": len(images), **{name: getattr(options, name) for name in named}}
    try:
        backup = kgen.callbacks.Backup(options.output, run, keep=True)
    except FileExistsError as error:
        sys.exit(str(error))
    gan.fit(
        images,
        labels,
        epochs=options.epochs,
        batch_size=options.batch_size,
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            kgen.callbacks.SampleGrid(options.output / "samples", num_images=8 * len(names)),
            kgen.callbacks.AdversarialWatch(),
            backup,
        ],
    )
    gan.save(options.output / "model.keras")
    gan.export(options.output / "saved_model")
    backup.delete()

    every_class = np.repeat(np.arange(len(names)), 10)
    kgen.visualization.save_images(options.output / "images.png", gan.generate(labels=every_class, seed=0), columns=10)
    rows = [gan.interpolate(0, 1, steps=10, label=label) for label in range(len(names))]
    kgen.visualization.save_images(options.output / "between.png", np.concatenate(rows), columns=10)

    report = {name: float(value) for name, value in gan.evaluate(*held_out, return_dict=True, verbose=0).items()}
    report["seconds"] = time.time() - start
    (options.output / "report.json").write_text(json.dumps(report) + "\n")
    print("\n" + ", ".join(f"{name} {value:.3g}" for name, value in report.items()))
    print(f"In {options.output}: images.png, between.png, samples/, model.keras, saved_model/.")
    print(f"Now: python {sys.argv[0]} --output {options.output} --generate sneaker bag")


def generate(options):
    """Generates images with the SavedModel."""
    saved = options.output / "saved_model"
    if not saved.is_dir():
        sys.exit(f"There is no trained model in {options.output}. Train one first: python {sys.argv[0]}")
    import tensorflow as tf
    from PIL import Image

    from kgen.data import FASHION_MNIST_NAMES

    labels = {name.lower(): label for label, name in enumerate(FASHION_MNIST_NAMES)}
    unknown = [name for name in options.generate if name.lower() not in labels]
    if unknown:
        sys.exit(f"Unknown: {', '.join(unknown)}. There are: {', '.join(labels)}.")
    serve = tf.saved_model.load(saved).signatures["serving_default"]
    asked = tf.constant([labels[name.lower()] for name in options.generate])
    seeds = tf.range(options.seed, options.seed + len(asked))
    images = serve(labels=asked, seeds=seeds)["images"].numpy()
    for number, (name, image) in enumerate(zip(options.generate, images)):
        file = options.output / f"{number:02d}_{name.lower().replace('/', '_').replace(' ', '_')}.png"
        Image.fromarray(image[:, :, 0]).resize((8 * image.shape[1], 8 * image.shape[0]), Image.NEAREST).save(file)
        print(file)


if __name__ == "__main__":
    main()
