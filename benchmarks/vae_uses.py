"""Uses of a VAE on Fashion-MNIST: classification by likelihood alone, and denoising.

    taskset -c 0 python benchmarks/vae_uses.py classify --seconds 300
    taskset -c 0 python benchmarks/vae_uses.py denoise --seconds 120

`classify` trains a class-conditional VAE of dense networks and finds the label under which each test image is most
likely (Bayes' rule on importance-weighted bounds), before and after learning a prior for each class. `denoise` trains
one without labels, adds normal noise to test images and compares the posterior mean with median filters. The standard
deviation of the noise is in units where black is 0 and white is 1; PSNR is the mean over images of 10 log10(1 / mean
squared error). Both train for the given processor time, by Adam with a rate that falls along a cosine.
"""

import argparse
import math
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from clock import Seconds
from keras import layers

import kgen
from kgen.data import fashion_mnist

SHAPE = (28, 28, 1)
GATES = keras.initializers.RandomUniform(0.0, 2.0, seed=0)


def dense_network(name, shape, units, outputs, num_classes):
    """Dense layers from a tensor to `outputs`; the condition is concatenated to the input of each layer."""
    inputs = {name: keras.Input(shape, name=name)}
    pooled = []
    if num_classes:
        inputs["pooled"] = keras.Input((num_classes,), name="pooled")
        pooled = [inputs["pooled"]]

    def with_condition(x):
        return layers.Concatenate()([x, *pooled]) if pooled else x

    x = layers.Flatten()(inputs[name])
    for width in units:
        x = layers.Dense(width, activation="relu")(with_condition(x))
        if pooled:
            # Each class scales the units by its own gates: almost a network per class, and a bad one for other classes.
            x = layers.Multiply()([x, layers.Dense(width, kernel_initializer=GATES)(pooled[0])])
    x = layers.Reshape(outputs)(layers.Dense(math.prod(outputs))(with_condition(x)))
    return keras.Model(inputs if pooled else inputs[name], x)


def build(options, num_classes=None):
    likelihood = options.reconstruction if options.sigma is None else kgen.losses.Gaussian(options.sigma)
    likelihood = kgen.losses.get("reconstruction loss", likelihood)
    units, dim = options.units, options.latent_dim
    encoder = dense_network("images", SHAPE, units, (2 * dim,), num_classes)
    decoder = dense_network("latents", (dim,), units[::-1], (28, 28, likelihood.channels), num_classes)
    return kgen.models.VAE(encoder, decoder, dim, likelihood, num_classes=num_classes, seed=options.seed)


def train(options, images, labels=None, num_classes=None):
    vae = build(options, num_classes)
    vae.compile(keras.optimizers.Adam(options.rate), steps_per_execution=16)
    clock = Seconds(options.seconds, options.rate)
    vae.fit(images, labels, epochs=10_000, batch_size=options.batch_size, verbose=0, callbacks=[clock])
    print(f"trained for {int(vae.optimizer.iterations)} steps", flush=True)
    return vae


def classify(options):
    images, labels = fashion_mnist("train", path=options.data)
    held_out, right = (each[: options.limit] for each in fashion_mnist("test", path=options.data))
    vae = train(options, images, labels, num_classes=10)

    def report(name, samples):
        start = time.process_time()
        found = vae.classify(held_out, samples=samples, batch_size=500, verbose=0).argmax(axis=1)
        seconds = time.process_time() - start
        print(f"| {name} | {samples} | {np.mean(found == right):.2%} | {seconds:.0f} |", flush=True)

    print("| prior | draws | right | seconds |\n|-|-|-|-|")
    for samples in (1, options.draws):
        report("standard normal", samples)
    vae.fit_prior(images, labels, components=options.components, batch_size=500, verbose=0)
    for samples in (1, options.draws):
        report(f"mixture of {options.components} a class", samples)


def psnr(images, others):
    squares = np.mean((images / 255.0 - others / 255.0) ** 2, axis=(1, 2, 3))
    return np.mean(-10.0 * np.log10(squares))


def denoise(options):
    from skimage.filters import median
    from skimage.morphology import disk, footprint_rectangle

    images, _ = fashion_mnist("train", path=options.data)
    held_out = fashion_mnist("test", path=options.data)[0][: options.limit]
    vae = train(options, images)
    noise = options.noise * np.random.default_rng(options.seed).normal(size=held_out.shape)
    unbounded = (held_out / 255.0 + noise).astype("float32")
    cut = np.clip(255.0 * unbounded, 0, 255).round().astype("uint8")
    print("| noisy image | nothing | median 3x3 | median 5x5 | median disk 2 | VAE | seconds an image |")
    print("|-|-|-|-|-|-|-|")
    for name, noisy, value_range in (("cut to 0 .. 255", cut, None), ("not cut", unbounded, (0, 1))):
        levels = noisy if noisy.dtype == "uint8" else 255.0 * noisy
        filtered = []
        for window in (footprint_rectangle((3, 3)), footprint_rectangle((5, 5)), disk(2)):
            filtered.append(np.stack([median(image[:, :, 0], window) for image in levels])[..., None])
        start = time.process_time()
        found = vae.denoise(noisy, options.noise, value_range=value_range, batch_size=250, verbose=0)
        seconds = (time.process_time() - start) / len(held_out)
        scores = [psnr(held_out, other) for other in (levels, *filtered, found)]
        print(f"| {name} | {' | '.join(f'{score:.2f}' for score in scores)} | {seconds:.3f} |", flush=True)
    shown = [held_out[:16], cut[:16], vae.denoise(cut[:16], options.noise, verbose=0)]
    kgen.visualization.save_images(options.output, np.concatenate(shown), columns=16, scale=2)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("what", choices=["classify", "denoise"])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--reconstruction", default="optimal_gaussian", help="short name of the likelihood")
    parser.add_argument(
        "--sigma", type=float, help="fixed standard deviation of pixels in [-1, 1], instead of --reconstruction"
    )
    parser.add_argument("--units", type=int, nargs="+", default=[512])
    parser.add_argument("--latent-dim", type=int, default=32)
    parser.add_argument("--draws", type=int, default=32, help="from the posterior for the importance-weighted bound")
    parser.add_argument("--components", type=int, default=8, help="of the learned prior")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--noise", type=float, default=0.3, help="standard deviation, where white is 1")
    parser.add_argument("--limit", type=int, help="measure only this many test images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="denoised.png", help="PNG file: clean, noisy and denoised images")
    parser.add_argument("--data", help="folder with the four idx files; default: where kgen finds them")
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    {"classify": classify, "denoise": denoise}[options.what](options)


if __name__ == "__main__":
    main()
