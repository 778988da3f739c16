"""A small classifier of Fashion-MNIST, whose features serve to measure generated images.

    python benchmarks/fashion_mnist_classifier.py --output fashion_mnist_classifier.keras

Trains a convolutional network on the 60,000 training images, prints its accuracy on the 10,000 test images, and saves
it unless that is below 92%. `load` returns it with the 128 features before its last layer, for kgen.metrics. Distances
are comparable only if they were measured with the same saved file.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

from kgen.data.fashion_mnist import FASHION_MNIST_NAMES, fashion_mnist
from kgen.files import check_writable

NAME = "fashion_mnist_classifier"


def build():
    """From images `(28, 28, 1)` in [-1, 1] to ten logits."""
    inputs = x = keras.Input((28, 28, 1), name="images")
    for filters in (32, 64, 128):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling2D()(x)  # first, which leaves a quarter of the work
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        x = layers.Dropout(0.1)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.ReLU(name="features")(x)
    x = layers.Dropout(0.4)(x)
    return keras.Model(inputs, layers.Dense(10, name="logits")(x), name=NAME)


def load(path):
    """The saved classifier, and its features for kgen.metrics.

    Returns:
        `(classifier, extractor)`: the Keras model from images in [-1, 1] to logits, and a
        `kgen.metrics.FeatureExtractor` of its 128 features. It resizes images of other sizes; crop images that
        `fashion_mnist(image_size=32)` padded, and images generated from them, to `[:, 2:-2, 2:-2]` first.
    """
    from kgen.metrics import FeatureExtractor

    classifier = keras.models.load_model(path, compile=False)
    network = keras.Model(classifier.input, classifier.get_layer("features").output, name=NAME)
    return classifier, FeatureExtractor(network, name=NAME, image_size=28, value_range=(-1.0, 1.0))


def train(images, labels, epochs, batch_size):
    model = build()
    steps = epochs * (len(images) // batch_size)
    rate = keras.optimizers.schedules.CosineDecay(1e-4, steps, alpha=0.0, warmup_target=3e-3, warmup_steps=steps // 8)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.05),
        metrics=["accuracy"],
    )
    targets = keras.utils.to_categorical(labels, len(FASHION_MNIST_NAMES))
    model.fit(images, targets, batch_size=batch_size, epochs=epochs, verbose=2)
    return model


def accuracies(model, images, labels):
    """The accuracy for each of the ten classes."""
    right = model.predict(images, batch_size=500, verbose=0).argmax(axis=1) == labels
    return np.array([right[labels == label].mean() for label in range(len(FASHION_MNIST_NAMES))])


def in_range(split, path):
    images, labels = fashion_mnist(split, path=path)
    return images.astype("float32") / 127.5 - 1.0, labels


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", help="a .keras file to save the classifier in")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--least", type=float, default=0.92, help="accuracy below which nothing is saved")
    parser.add_argument("--data", help="folder with the four idx files; default: where kgen finds them")
    options = parser.parse_args()
    if options.output:
        check_writable("--output", options.output)

    keras.utils.set_random_seed(options.seed)
    start = time.perf_counter()
    model = train(*in_range("train", options.data), options.epochs, options.batch_size)
    seconds = time.perf_counter() - start
    each = accuracies(model, *in_range("test", options.data))
    for name, accuracy in zip(FASHION_MNIST_NAMES, each):
        print(f"{name:12} {accuracy:.1%}")
    accuracy = each.mean()  # all classes have equally many test images
    print(
        f"test accuracy {accuracy:.2%} after {options.epochs} epochs, {seconds:.0f} s, {model.count_params():,} weights"
    )
    if accuracy < options.least:
        raise SystemExit(f"That is below {options.least:.0%}: nothing is saved. Train longer (--epochs).")
    if options.output:
        model.save(options.output)
        print(f"saved {options.output}")


if __name__ == "__main__":
    main()
