"""An image classifier on Fashion-MNIST: trained, measured, saved, and exported as a SavedModel.

    python examples/classify.py                             # trains
    python examples/classify.py --classify shoe.png         # uses the trained model, on a plain background

Writes to --output: model.keras (to continue training), saved_model/ (for deployment), seen.png (test images with their
predicted names; * marks mistakes) and confusion.png (rows: true classes; columns: predicted classes). With few labels
start from a trained network, as in notebooks/classify_segment_caption.ipynb.
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
    if options.classify:
        classify(options)
    else:
        train(options)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("classify"), help="directory for the results")
    parser.add_argument("--classify", nargs="+", type=Path, metavar="FILE", help="use the trained model on images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="folder with the four idx files; default: where kgen finds them")
    parser.add_argument("--epochs", type=int, default=2, help="passes over the images")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--filters", type=int, default=32, help="network width; more filters are slower and better")
    parser.add_argument("--limit", type=int, help="use only this many images, for a quick try")
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

    names = kgen.data.FASHION_MNIST_NAMES
    images, labels = (each[: options.limit] for each in kgen.data.fashion_mnist("train", path=options.data))
    test_images, test_labels = (each[: options.limit] for each in kgen.data.fashion_mnist("test", path=options.data))
    kgen.files.check_writable("--output", options.output / "model.keras")  # before the work, not after it
    keras.utils.set_random_seed(options.seed)
    classifier = kgen.models.ImageClassifier(
        kgen.networks.residual_encoder(images.shape[1:], filters=options.filters),
        class_names=names,
        dropout=0.2,
        ema_momentum=0.99,
        seed=options.seed,
    )
    steps = options.epochs * -(-len(images) // options.batch_size)
    classifier.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(4e-3, steps), weight_decay=0.01),
        augmentation=keras.layers.RandomFlip("horizontal"),
        label_smoothing=0.05,
    )
    classifier.fit(
        images,
        labels,
        epochs=options.epochs,
        batch_size=options.batch_size,
        verbose=1 if sys.stdout.isatty() else 2,
    )

    classifier.save(options.output / "model.keras")
    classifier.export(options.output / "saved_model")

    seen = classifier.classify(test_images, batch_size=500).argmax(axis=1)
    shown = np.concatenate([np.flatnonzero(test_labels == label)[:8] for label in range(len(names))])
    captions = [names[seen[i]] + (" *" if seen[i] != test_labels[i] else "") for i in shown]
    kgen.visualization.save_images(options.output / "seen.png", test_images[shown], captions, columns=8, scale=3)
    confusion_image(test_labels, seen, names).save(options.output / "confusion.png")

    report = {"accuracy": float(np.mean(seen == test_labels)), "seconds": time.time() - start}
    (options.output / "report.json").write_text(json.dumps(report) + "\n")
    print("\n" + ", ".join(f"{name} {value:.3g}" for name, value in report.items()))
    print(f"In {options.output}: seen.png, confusion.png, model.keras, saved_model/.")


def confusion_image(labels, seen, names, cell=48):
    """The confusion matrix as an image: dark cells are frequent predictions (column) for a class (row)."""
    import numpy as np
    from PIL import Image, ImageDraw

    shares = np.zeros((len(names), len(names)))
    np.add.at(shares, (labels, seen), 1)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    margin = 2 * cell
    image = Image.new("RGB", (margin + cell * len(names), margin // 2 + cell * len(names)), "white")
    draw = ImageDraw.Draw(image)
    for row, name in enumerate(names):
        draw.text((4, margin // 2 + cell * row + cell // 3), name, fill="black")
        draw.text((margin + cell * row + 2, 8), name[:8], fill="black")
        for column in range(len(names)):
            # The square root makes the few mistakes visible.
            level = int(255 * (1 - shares[row, column] ** 0.5))
            left, top = margin + cell * column, margin // 2 + cell * row
            color = (level, level, 255) if row == column else (255, level, level)
            draw.rectangle((left, top, left + cell - 2, top + cell - 2), fill=color)
            if shares[row, column] >= 0.005:
                draw.text(
                    (left + 8, top + cell // 3), f"{shares[row, column]:.0%}", fill="white" if level < 128 else "black"
                )
    return image


def classify(options):
    """Classifies files with the SavedModel, which needs only TensorFlow."""
    saved = options.output / "saved_model"
    if not saved.is_dir():
        sys.exit(f"There is no trained model in {options.output}. Train one first: python {sys.argv[0]}")
    missing = [str(file) for file in options.classify if not file.is_file()]
    if missing:
        sys.exit(f"There is no such image: {', '.join(missing)}")
    import tensorflow as tf
    from PIL import Image

    serve = tf.saved_model.load(saved).signatures["serving_default"]
    for file in options.classify:
        with Image.open(file) as image:
            pixels = like_fashion_mnist(image)
        answers = serve(images=tf.constant(pixels[None, :, :, None]))
        print(f"{file}: {answers['names'].numpy()[0].decode()} ({answers['probabilities'].numpy().max():.0%})")


def like_fashion_mnist(image):
    """uint8 `(28, 28)`: bright on black, and cropped to the object unless the image already has this size.

    The border tells which brightness is the background: product photographs have a white one.
    """
    import numpy as np
    from PIL import Image, ImageOps

    white = Image.new("RGBA", image.size, "white")
    pixels = np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("L"))
    border = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]))
    pixels = pixels if border < 128 else 255 - pixels
    if pixels.shape == (28, 28):
        return pixels
    shown = Image.fromarray(pixels)
    box = Image.fromarray(np.where(pixels > 25, pixels, 0).astype("uint8")).getbbox()
    return np.asarray(ImageOps.pad(shown.crop(box), (28, 28), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
