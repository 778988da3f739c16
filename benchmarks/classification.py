"""What ImageClassifier and ImageSegmenter come to, trained for minutes on one core.

    taskset -c 1 python benchmarks/classification.py full --filters 48 --seconds 360 --rate 4e-3
    taskset -c 1 python benchmarks/classification.py few --seconds 12 --rate 1e-3 --batch-size 32
    taskset -c 1 python benchmarks/classification.py segmentation --seconds 75

`full` learns Fashion-MNIST from all labels. `few` learns it from some labels a class, from nothing and from what a
GAN's discriminator learned from all pictures without labels. `segmentation` learns which pixels of `captioned_shapes`
are of which shape. Training ends after so many seconds of the processor, the rate of Adam falls along a cosine, and
what is measured are the averaged weights on pictures that nothing was trained on.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from vae_uses import Seconds

import kgen
from kgen.data import FASHION_MNIST_NAMES, captioned_shapes, fashion_mnist

SHAPE = (28, 28, 1)


def flips_and_shifts():
    # By up to two pixels.
    return [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomTranslation(0.07, 0.07, fill_mode="constant", interpolation="nearest"),
    ]


def fit(model, options, images, targets):
    """Trains a compiled model; returns it."""
    clock = Seconds(options.seconds, options.rate)
    model.fit(images, targets, epochs=100_000, batch_size=options.batch_size, verbose=0, callbacks=[clock])
    print(f"{model.name}: {int(model.optimizer.iterations)} steps", flush=True)
    return model


def adam(options):
    return keras.optimizers.AdamW(options.rate, weight_decay=options.weight_decay)


def accuracy(answers, labels):
    return np.mean(answers.argmax(axis=1) == labels)


def some_of_each(labels, count, seed):
    """Indices of so many pictures of each class."""
    random = np.random.default_rng(seed)
    return np.concatenate(
        [random.permutation(np.flatnonzero(labels == label))[:count] for label in range(len(FASHION_MNIST_NAMES))]
    )


# === All labels ===
def full_classifier(options):
    classifier = kgen.models.ImageClassifier(
        kgen.networks.residual_encoder(SHAPE, filters=options.filters, blocks=options.blocks),
        class_names=FASHION_MNIST_NAMES,
        dropout=0.2,
        seed=options.seed,
        name="classifier",
    )
    classifier.compile(adam(options), flips_and_shifts(), label_smoothing=0.1, steps_per_execution=8)
    return classifier


def full(options):
    images, labels = fashion_mnist("train", path=options.data)
    held_out, right = fashion_mnist("test", path=options.data)
    classifier = fit(full_classifier(options), options, images, labels)
    answers = classifier.classify(held_out, batch_size=500, verbose=0)
    print(f"| weights | steps | right |\n|-|-|-|\n| {classifier.network.count_params():,}", end=" | ")
    print(f"{int(classifier.optimizer.iterations)} | {accuracy(answers, right):.2%} |")


# === Few labels ===
def pretrained(options, images):
    """A discriminator's features, of a GAN that saw all pictures and no label; what is kept is not trained again."""
    path = Path(options.output) / f"gan_{options.pretraining:.0f}s_{options.dtype}_seed_{options.seed}.keras"
    if not path.exists():
        gan = kgen.models.GAN.from_image_shape(SHAPE, seed=options.seed)
        gan.compile()
        clock = Clock(options.pretraining)
        gan.fit(images, epochs=100_000, batch_size=64, verbose=0, callbacks=[clock])
        print(f"GAN: {clock.steps} steps", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        gan.discriminator_features.save(path)
    return keras.models.load_model(path, compile=False)


class Clock(keras.callbacks.Callback):
    """Ends training after so many seconds of the processor."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.begin, self.steps = seconds, None, 0

    def on_train_batch_end(self, batch, logs=None):
        self.begin = self.begin or time.process_time()
        self.steps += 1
        self.model.stop_training = time.process_time() - self.begin >= self.seconds


def few(options):
    images, labels = fashion_mnist("train", path=options.data)
    held_out, right = fashion_mnist("test", path=options.data)

    def score(backbone, draw, frozen=False):
        classifier = kgen.models.ImageClassifier(
            backbone, class_names=FASHION_MNIST_NAMES, dropout=0.3, frozen=frozen, ema_momentum=0.99, seed=draw
        )
        classifier.compile(adam(options), flips_and_shifts(), label_smoothing=0.1, steps_per_execution=8)
        some = some_of_each(labels, options.labels, draw)
        fit(classifier, options, images[some], labels[some])
        return accuracy(classifier.classify(held_out, batch_size=500, verbose=0), right)

    def anew(network, draw):
        keras.utils.set_random_seed(options.seed + draw)
        return keras.models.clone_model(network)

    network, rows = pretrained(options, images), {}
    for draw in range(options.draws):
        results = {
            "from nothing": score(anew(network, draw), draw),
            "pretrained, fine-tuned": score(network, draw),
            "pretrained, frozen": score(network, draw, frozen=True),
        }
        for how, result in results.items():
            rows.setdefault(how, []).append(result)
    table(rows, options.draws)


def table(rows, draws):
    print(f"| | {' | '.join(f'draw {i + 1}' for i in range(draws))} | mean |\n|-|{'-|' * (draws + 1)}")
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.2%}' for value in (*values, np.mean(values)))} |")


# === Segmentation ===
def segmentation(options):
    data, masks = captioned_shapes(options.pictures, masks=True, seed=options.seed)
    names = kgen.data.MASK_NAMES
    segmenter = kgen.models.ImageSegmenter.from_image_shape(
        data.image_shape, class_names=names, seed=options.seed, name="segmenter"
    )
    segmenter.compile(adam(options), steps_per_execution=8)
    fit(segmenter, options, data.images, masks)
    splits = {"seen": "other pictures of the same kinds", "held_out": "colours of shapes never seen together"}
    print(f"| pictures | {' | '.join(names)} | mean IoU |\n|-|{'-|' * (len(names) + 1)}")
    for split, title in splits.items():
        others, truth = captioned_shapes(1000, masks=True, split=split)
        found = segmenter.segment(others.images, batch_size=100, verbose=0)
        overlaps = [
            np.sum((found == k) & (truth == k)) / np.sum((found == k) | (truth == k)) for k in range(len(names))
        ]
        print(f"| {title} | {' | '.join(f'{v:.3f}' for v in (*overlaps, np.mean(overlaps)))} |", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    jobs = {"full": full, "few": few, "segmentation": segmentation}
    parser.add_argument("what", choices=list(jobs))
    parser.add_argument("--seconds", type=float, default=60, help="of training, for each model")
    parser.add_argument("--pretraining", type=float, default=120, help="seconds for few's GAN")
    parser.add_argument("--labels", type=int, default=100, help="of each class, for few")
    parser.add_argument("--draws", type=int, default=2, help="of those labels")
    parser.add_argument("--pictures", type=int, default=8000, help="that segmentation learns from")
    parser.add_argument("--filters", type=int, default=64, help="of full's network")
    parser.add_argument("--blocks", type=int, default=1, help="of each stage of full's network")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--dtype", default="mixed_bfloat16", help="or float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="classification", help="folder for few's pretrained network")
    parser.add_argument("--data", help="folder of the four idx files; by default wherever kgen finds them")
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.dtype)
    jobs[options.what](options)


if __name__ == "__main__":
    main()
