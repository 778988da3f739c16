"""Variants of a VAE on Fashion-MNIST after equal training time on one core: bits per dimension and Frechet distance.

    python benchmarks/fashion_mnist_classifier.py --output fashion_mnist_classifier.keras
    taskset -c 0 python benchmarks/vae_fashion_mnist.py ablation --classifier fashion_mnist_classifier.keras

Each recipe trains in its own process, on one core, for the given processor time after its first step. Then the bound of
the 10,000 test images is computed, with one draw of the latents each, and 10,000 images are generated. Both are kept in
the output folder; the images are compared with the test images. A recipe whose results exist already is not trained
again.

Bits per dimension count 256 grey levels: (reconstruction + KL) / (784 log 2). A density p on [-1, 1] gives a grey level
the probability p * 2 / 255.
"""

import argparse
import math
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

SHAPE, COUNT = (28, 28, 1), 10_000

LADDER = {"levels": 3}
ATTENTION = {**LADDER, "attention_resolutions": (7,)}
MULTISCALE = {**ATTENTION, "multiscale": True}
LEARNED = {"reconstruction": "discretized_logistic"}
# Arguments of `VAE.from_image_shape`.
RECIPES = {
    "plain": {},
    "+ hierarchy": LADDER,
    "+ attention": ATTENTION,
    "+ multiscale": MULTISCALE,
    "+ learned variance": {**MULTISCALE, **LEARNED},
    "plain, learned variance": LEARNED,
    "hierarchy, learned variance": {**LADDER, **LEARNED},
}


def file_of(name, options):
    stem = "_".join("".join(letter if letter.isalnum() else " " for letter in name).split())
    return Path(options.output) / f"{stem}_{options.seconds:.0f}s_seed_{options.seed}.npz"


def train(name, options):
    """Trains one recipe and saves its bound and its images."""
    import keras
    import tensorflow as tf
    from clock import Seconds

    import kgen

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(options.seed)

    path = file_of(name, options)
    path.parent.mkdir(parents=True, exist_ok=True)
    networks = {"reconstruction": kgen.losses.Gaussian(options.sigma), **RECIPES[name]}
    clock, images = Seconds(options.seconds), kgen.data.fashion_mnist("train", path=options.data)[0]
    vae = kgen.models.VAE.from_image_shape(SHAPE, latent_dim=options.latent_dim, seed=options.seed, **networks)
    vae.compile()
    # The clock stops it long before.
    vae.fit(images, epochs=10_000, batch_size=options.batch_size, callbacks=[clock], verbose=0)
    test, _ = kgen.data.fashion_mnist("test", path=options.data)
    logs = vae.evaluate(test, batch_size=500, verbose=0, return_dict=True)
    print(f"{name}: {clock.steps} steps", {key: round(value, 2) for key, value in logs.items()}, flush=True)
    nats = logs["reconstruction"] + logs["kl"]
    values = math.prod(SHAPE)
    if not isinstance(vae.reconstruction, kgen.losses.DiscretizedLogistic):
        nats += values * math.log(127.5)
    np.savez_compressed(
        path,
        images=vae.generate(COUNT, seed=1, batch_size=500, verbose=0),
        steps=clock.steps,
        bits=nats / (values * math.log(2.0)),
        kl=[logs[level] for level in vae.objective.level_names or ["kl"]],
    )


def measure(names, options):
    """Prints a row for each recipe that was trained."""
    from fashion_mnist_classifier import load

    import kgen

    _, extractor = load(options.classifier)
    real, _ = kgen.data.fashion_mnist("test", path=options.data)
    print("| recipe | steps | bits per dimension | KL of each level, nats | Frechet |")
    print("|-|-|-|-|-|")
    for name in names:
        with np.load(file_of(name, options)) as kept:
            kept = dict(kept)
        frechet = kgen.metrics.FrechetDistance(extractor)
        kgen.metrics.update_all([frechet], real, kept["images"])
        levels = ", ".join(f"{nats:.1f}" for nats in kept["kl"])
        columns = [name, int(kept["steps"]), f"{kept['bits']:.3f}", levels, f"{float(frechet.result()):.2f}"]
        print("|", " | ".join(map(str, columns)), "|", flush=True)


def ablation(options):
    """Trains the recipes without saved results, then measures all."""
    if not options.classifier or not Path(options.classifier).is_file():
        raise SystemExit("--classifier: give the file that benchmarks/fashion_mnist_classifier.py saved")
    for name in options.recipes:
        if not file_of(name, options).exists():
            print(f"training for {options.seconds:.0f} s: {name}", flush=True)
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--train", name], check=True)
    measure(options.recipes, options)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("part", choices=["ablation"])
    parser.add_argument("--classifier", help="the file that fashion_mnist_classifier.py saved")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES), choices=list(RECIPES), metavar="RECIPE")
    parser.add_argument("--sigma", type=float, default=0.15, help="deviation of pixels where it is not learned")
    parser.add_argument("--latent-dim", type=int, default=32, help="of the first level")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--output", default="vae_fashion_mnist", help="folder for the results")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="folder with the four idx files; default: where kgen finds them")
    parser.add_argument("--train", choices=list(RECIPES), metavar="RECIPE", help="only train this recipe")
    options = parser.parse_args()
    if options.train:
        train(options.train, options)
    else:
        ablation(options)


if __name__ == "__main__":
    main()
