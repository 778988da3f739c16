"""The accuracy of ImageClassifier, MultiTaskModel and ImageSegmenter after minutes of training on one core.

    taskset -c 1 python benchmarks/classification.py full --filters 48 --seconds 360 --rate 4e-3
    taskset -c 1 python benchmarks/classification.py few --seconds 12 --rate 1e-3 --batch-size 32
    taskset -c 1 python benchmarks/classification.py tasks --labels 20 --draws 1 --seconds 40 --batch-size 64
    taskset -c 1 python benchmarks/classification.py segmentation --seconds 150 --batch-size 32

`full` learns Fashion-MNIST from all labels. `few` learns it from a few labels per class, from scratch and from the
features of a GAN's discriminator that saw all images without labels. `tasks` compares classification alone,
reconstruction alone, and both together. `segmentation` learns which pixels of `captioned_shapes` belong to which shape.
Training stops after the given processor time, Adam's learning rate follows a cosine, and the averaged weights are
measured on held-out images.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from clock import Seconds

import kgen
from kgen.data import FASHION_MNIST_NAMES, captioned_shapes, fashion_mnist

SHAPE = (28, 28, 1)


def flips_and_shifts():
    # By up to two pixels.
    return [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomTranslation(0.07, 0.07, fill_mode="constant", interpolation="nearest"),
    ]


def fit(model, options, images, targets=None, seconds=None):
    """Trains a compiled model; returns it."""
    clock = Seconds(seconds or options.seconds, options.rate)
    model.fit(images, targets, epochs=100_000, batch_size=options.batch_size, verbose=0, callbacks=[clock])
    print(f"{model.name}: {int(model.optimizer.iterations)} steps", flush=True)
    return model


def adam(options):
    return keras.optimizers.AdamW(options.rate, weight_decay=options.weight_decay)


def accuracy(answers, labels):
    return np.mean(answers.argmax(axis=1) == labels)


def some_of_each(labels, count, seed):
    """Indices of `count` random images of each class."""
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
    """Features of the discriminator of a GAN trained without labels; loaded if they were saved before."""
    path = Path(options.output) / f"gan_{options.pretraining:.0f}s_{options.dtype}_seed_{options.seed}.keras"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        gan = kgen.models.GAN.from_image_shape(SHAPE, seed=options.seed)
        gan.compile()
        clock = Seconds(options.pretraining)
        gan.fit(images, epochs=100_000, batch_size=64, verbose=0, callbacks=[clock])
        print(f"GAN: {clock.steps} steps", flush=True)
        gan.discriminator_features.save(path)
    return keras.models.load_model(path, compile=False)


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


# === Two tasks ===
def tasks(options):
    images, labels = fashion_mnist("train", path=options.data)
    held_out, right = fashion_mnist("test", path=options.data)

    def model(*names):
        keras.utils.set_random_seed(options.seed)
        heads = {
            "clothes": kgen.heads.ClassificationHead(class_names=FASHION_MNIST_NAMES, dropout=0.3),
            "copy": kgen.heads.ReconstructionHead(
                kgen.networks.dcgan_generator(SHAPE, latent_dim=64, filters=64, patch=2)
            ),
        }
        backbone = kgen.networks.residual_encoder(SHAPE, filters=32)
        chosen = {name: heads[name] for name in names}
        made = kgen.models.MultiTaskModel(backbone, chosen, ema_momentum=0.99, seed=options.seed, name="_".join(names))
        weights = {"clothes": 1.0, "copy": options.reconstruction_weight}
        weights = {name: weights[name] for name in names}
        made.compile(adam(options), weights, flips_and_shifts(), steps_per_execution=8)
        return made

    def right_share(trained):
        return accuracy(trained.answer("clothes", held_out, batch_size=500, verbose=0), right)

    def error(trained):
        drawn = trained.answer("copy", held_out, batch_size=500, verbose=0)
        return np.sqrt(np.mean((drawn / 255.0 - held_out / 255.0) ** 2))

    alone = fit(model("copy"), options, images)
    rows, errors = {}, [error(alone)]
    for draw in range(options.draws):
        some = some_of_each(labels, options.labels, draw)
        few_images, few_labels = images[some], labels[some]

        # The encoder stays frozen, so that only reconstruction has shaped its features.
        linear = kgen.models.ImageClassifier(
            alone.backbone, class_names=FASHION_MNIST_NAMES, dropout=0.3, frozen=True, ema_momentum=0.99, seed=draw
        )
        linear.compile(adam(options), flips_and_shifts(), steps_per_execution=8)
        fit(linear, options, few_images, few_labels, seconds=options.seconds / 4)
        answers = linear.classify(held_out, batch_size=500, verbose=0)
        rows.setdefault("reconstruction alone, then a linear layer", []).append(accuracy(answers, right))

        labelled = fit(model("clothes"), options, few_images, few_labels)
        rows.setdefault("classification alone", []).append(right_share(labelled))

        # Labelled images are repeated until they are as many as the unlabelled ones.
        times = len(images) // len(some)
        unknown = np.full(len(images), -1, few_labels.dtype)
        joined = np.concatenate([images, np.tile(few_images, (times, 1, 1, 1))])
        answers = np.concatenate([unknown, np.tile(few_labels, times)])
        both = fit(model("clothes", "copy"), options, joined, {"clothes": answers})
        rows.setdefault("both at once", []).append(right_share(both))
        errors.append(error(both))
        print({name: f"{values[-1]:.2%}" for name, values in rows.items()}, flush=True)
    table(rows, options.draws)
    print(f"error of reconstruction: alone {errors[0]:.4f}, both at once {np.mean(errors[1:]):.4f}")


# === Segmentation ===
def segmentation(options):
    data, masks = captioned_shapes(options.images, masks=True, seed=options.seed)
    names = kgen.data.MASK_NAMES
    segmenter = kgen.models.ImageSegmenter.from_image_shape(
        data.image_shape, class_names=names, seed=options.seed, name="segmenter"
    )
    segmenter.compile(adam(options), steps_per_execution=8)
    fit(segmenter, options, data.images, masks)
    splits = {"seen": "other images of the same kinds", "held_out": "colours of shapes never seen together"}
    print(f"| images | {' | '.join(names)} | mean IoU |\n|-|{'-|' * (len(names) + 1)}")
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
    jobs = {"full": full, "few": few, "tasks": tasks, "segmentation": segmentation}
    parser.add_argument("what", choices=list(jobs))
    parser.add_argument("--seconds", type=float, default=60, help="of training for each model")
    parser.add_argument("--pretraining", type=float, default=120, help="seconds for the GAN of few")
    parser.add_argument("--labels", type=int, default=100, help="per class, for few and tasks")
    parser.add_argument("--draws", type=int, default=2, help="how often to draw these labels anew")
    parser.add_argument("--images", type=int, default=8000, help="training images of segmentation")
    parser.add_argument("--filters", type=int, default=64, help="of the network of full")
    parser.add_argument("--blocks", type=int, default=1, help="per stage of the network of full")
    parser.add_argument("--reconstruction-weight", type=float, default=0.01, help="in the loss of tasks")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--dtype", default="mixed_bfloat16", help="or float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="classification", help="folder for the pretrained network of few")
    parser.add_argument("--data", help="folder with the four idx files; default: where kgen finds them")
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.dtype)
    jobs[options.what](options)


if __name__ == "__main__":
    main()
