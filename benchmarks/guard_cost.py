"""What `on_nonfinite` costs: median time of a training step with and without, in turns, in one process on one core.

taskset -c 0 python benchmarks/guard_cost.py
"""

import argparse
import statistics
import time

import keras
import numpy as np

import kgen


def models():
    """By name: a function that makes a model, and a batch for it."""
    images = np.random.default_rng(0).integers(0, 256, (64, 28, 28, 1), "uint8")
    colours = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), "uint8")
    gan, vae = kgen.models.GAN.from_image_shape, kgen.models.VAE.from_image_shape
    return {
        "perceptron GAN 28x28, batch 64": (lambda: gan((28, 28, 1), architecture="perceptron"), images),
        "GAN 32x32, batch 16": (lambda: gan((32, 32, 3)), colours),
        "VAE 28x28, batch 64": (lambda: vae((28, 28, 1)), images),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    for name, (make, batch) in models().items():
        pair = {}
        for mode in ("raise", None):
            pair[mode] = make()
            pair[mode].compile(on_nonfinite=mode)
            for _ in range(20):
                pair[mode].train_on_batch(batch)
        times = {mode: [] for mode in pair}
        for _ in range(rounds):
            for mode, model in pair.items():
                begin = time.perf_counter()
                for _ in range(4):
                    model.train_on_batch(batch)
                times[mode].append((time.perf_counter() - begin) / 4 * 1000)
        ours, without = statistics.median(times["raise"]), statistics.median(times[None])
        ratios = [a / b for a, b in zip(times["raise"], times[None])]
        print(
            f"{keras.backend.backend()}, {name}: {ours:.2f} ms with, {without:.2f} ms without; median of the ratios "
            f"{statistics.median(ratios):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
