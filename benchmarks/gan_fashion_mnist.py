"""GANs on Fashion-MNIST after equal training time on one core: recipes of kgen and of other projects.

    python benchmarks/fashion_mnist_classifier.py --output fashion_mnist_classifier.keras
    taskset -c 0 python benchmarks/gan_fashion_mnist.py --classifier fashion_mnist_classifier.keras --seconds 240

Each recipe trains in its own process, on one core, for the given processor time after its first step, and then
generates 10,000 images, which are kept in the output folder. They are compared with the 10,000 test images, in the
features of a classifier. A recipe whose images exist already is not trained again.
"""

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

SHAPE, COUNT = (28, 28, 1), 10_000


def ours(labelled=False, compile_with=dict, **networks):
    """A recipe of kgen: arguments of `GAN.from_image_shape`, and a function that makes those of `compile`."""

    def train(images, labels, seconds, seed):
        from clock import Seconds

        import kgen

        clock = Seconds(seconds)
        gan = kgen.models.GAN.from_image_shape(SHAPE, num_classes=10 if labelled else None, seed=seed, **networks)
        gan.compile(**compile_with())
        # The clock stops it long before.
        fit = {"epochs": 10_000, "batch_size": 64, "callbacks": [clock], "verbose": 0}
        gan.fit(images, labels if labelled else None, **fit)
        asked = (lambda count: {"labels": np.arange(count) % 10}) if labelled else (lambda n: {"num_images": n})
        return lambda count: gan.generate(**asked(count), seed=1, verbose=0), clock.steps

    return train


def theirs(name):
    """A recipe of another project, in `gan_peers`."""

    def train(images, labels, seconds, seed):
        return importlib.import_module(f"gan_peers.{name}").train(images, seconds)

    return train


def wgan_gp():
    import keras

    from kgen.losses import GradientPenalty

    optimizer = keras.optimizers.Adam(4e-4, beta_1=0.0, beta_2=0.9)
    penalties = [GradientPenalty(10.0)]
    return {"optimizer": optimizer, "loss": "wasserstein", "penalties": penalties, "discriminator_steps": 3}


def hinge():
    import keras

    return {"optimizer": keras.optimizers.Adam(4e-4, beta_1=0.0, beta_2=0.9), "loss": "hinge", "penalties": []}


def r3gan():
    from kgen.losses import R1, R2

    return {"loss": "relativistic", "penalties": [R1(1.0, every=8), R2(1.0, every=8)]}


RECIPES = {
    "kgen, default: non-saturating + R1, DCGAN": ours(),
    "kgen, WGAN-GP, DCGAN": ours(architecture="dcgan", compile_with=wgan_gp),
    "kgen, hinge + spectral norm, ResNet": ours(architecture="resnet", compile_with=hinge),
    "kgen, relativistic + R1 + R2, R3GAN": ours(architecture="r3gan", compile_with=r3gan),
    "kgen, default, labels": ours(labelled=True),
    "kgen, default, labels by classifier": ours(labelled=True, conditioning="classifier"),
    "Keras.io DCGAN": theirs("keras_dcgan"),
    "Keras.io WGAN-GP": theirs("keras_wgan_gp"),
    "PyTorch-GAN DCGAN": theirs("pytorch_dcgan"),
}


def file_of(name, options):
    stem = "".join(letter if letter.isalnum() else "_" for letter in name)
    return Path(options.output) / f"{stem}_{options.seconds:.0f}s_seed_{options.seed}.npz"


def train(name, options):
    """Trains one recipe and saves its images."""
    if name.startswith("PyTorch"):
        # So that Keras, which kgen.data imports, does not load TensorFlow.
        os.environ["KERAS_BACKEND"] = "torch"
        import torch

        torch.manual_seed(options.seed)
    else:
        import keras
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        keras.utils.set_random_seed(options.seed)
    from kgen.data.fashion_mnist import fashion_mnist

    images, labels = fashion_mnist("train", path=options.data)
    path = file_of(name, options)
    path.parent.mkdir(parents=True, exist_ok=True)
    draw, steps = RECIPES[name](images, labels, options.seconds, options.seed)
    np.savez_compressed(path, images=draw(COUNT), steps=steps)


def measure(names, options):
    """Prints a row for each recipe that was trained."""
    from fashion_mnist_classifier import in_range, load

    import kgen

    classifier, extractor = load(options.classifier)
    real, _ = kgen.data.fashion_mnist("test", path=options.data)
    train_split, _ = in_range("train", options.data)
    own = np.round((train_split[:COUNT] + 1) * 127.5).astype("uint8")
    print("| recipe | steps | Frechet | kernel x 1000 | precision | recall | right class |")
    print("|-|-|-|-|-|-|-|")
    for name in [None, *names]:
        steps, images = "", own
        if name is not None:
            with np.load(file_of(name, options)) as kept:
                steps, images = int(kept["steps"]), kept["images"]
        metrics = kgen.metrics
        measures = [metrics.FrechetDistance(extractor), metrics.KernelDistance(extractor)]
        measures.append(metrics.PrecisionRecall(extractor))
        metrics.update_all(measures, real, images)
        (frechet,), (kernel, _), (precision, recall) = (
            [float(value) for value in measure.results().values()] for measure in measures
        )
        right = ""
        if name is not None and "labels" in name:
            answers = classifier.predict(images / np.float32(127.5) - 1, batch_size=500, verbose=0).argmax(axis=1)
            right = f"{np.mean(answers == np.arange(COUNT) % 10):.1%}"
        columns = [name or "training images themselves", steps, f"{frechet:.2f}", f"{1000 * kernel:.2f}"]
        print("|", " | ".join(map(str, [*columns, f"{precision:.0%}", f"{recall:.0%}", right])), "|", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--classifier", help="the file that fashion_mnist_classifier.py saved")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES), help="names of the recipes")
    parser.add_argument("--output", default="gan_fashion_mnist", help="folder for the generated images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="folder with the four idx files; default: where kgen finds them")
    parser.add_argument("--train", help="only train this recipe")
    options = parser.parse_args()
    unknown = [name for name in [*options.recipes, *filter(None, [options.train])] if name not in RECIPES]
    if unknown:
        parser.error(f"unknown recipes {unknown}; there are {list(RECIPES)}")
    if options.train:
        train(options.train, options)
        return
    if not options.classifier or not Path(options.classifier).is_file():
        parser.error("--classifier: give the file that benchmarks/fashion_mnist_classifier.py saved")
    for name in options.recipes:
        if not file_of(name, options).exists():
            print(f"training for {options.seconds:.0f} s: {name}", flush=True)
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--train", name], check=True)
    measure(options.recipes, options)


if __name__ == "__main__":
    main()
