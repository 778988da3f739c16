"""Strided convolutions on small grids: Keras' own and kgen's matrix product, forward and gradients of one layer.

    taskset -c 0 python benchmarks/coarse_convolution.py

Prints how many times as long Keras' layer takes, for batches of 64 and 16; above 1, the matrix product is faster. The
two alternate; medians of processor time. The rule in `kgen/training/backend/coarse_convolution.py` is not asked: the
table has rows on both sides of it, and says which are used.
"""

import os
import statistics
import time
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

from kgen.training.backend import coarse_convolution
from kgen.training.backend.fast_layers import fast_layers

ANY = mock.patch.multiple(coarse_convolution, _MOST_PLACES=10**6, _LEAST_WEIGHTS={4: 1, 5: 1})
# Side of the kernel, of the larger grid, and channels there and on the smaller one.
SIZES = [(4, 4, 256, 512), (4, 8, 256, 512), (4, 8, 128, 256), (4, 8, 64, 128), (4, 16, 128, 256), (4, 32, 64, 128)]
SIZES += [(5, 4, 256, 512), (5, 8, 256, 512), (5, 8, 128, 256)]


def step_of(layer, fast):
    """A compiled function of inputs that gives the outputs and all gradients."""

    @tf.function
    def step(inputs):
        with fast_layers([layer] if fast else []), tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
        return outputs, tape.gradient(outputs, [inputs, layer.kernel.value], output_gradients=outputs)

    return step


def ratio(layer, shape, repeats=9):
    """Keras' time over that of the matrix product."""
    inputs = tf.constant(np.random.default_rng(0).normal(size=shape), "float32")
    steps, times = [step_of(layer, fast) for fast in (False, True)], ([], [])
    with ANY:
        for step in steps:
            step(inputs)
    for _ in range(repeats):
        for step, seconds in zip(steps, times):
            begin = time.process_time()
            step(inputs)
            seconds.append(time.process_time() - begin)
    return statistics.median(times[0]) / statistics.median(times[1])


def main():
    tf.config.threading.set_intra_op_parallelism_threads(1)
    print("| kernel | grids | channels | batch of 64 | batch of 16 | used |\n|-|-|-|-|-|-|")
    for kind in (keras.layers.Conv2D, keras.layers.Conv2DTranspose):
        for kernel, side, large, small in SIZES:
            transposed = kind is keras.layers.Conv2DTranspose
            layer = kind(large if transposed else small, kernel, 2, "same")
            shape = (side // 2, side // 2, small) if transposed else (side, side, large)
            layer.build((None, *shape))
            used = coarse_convolution.can_use(layer) and (side // 2) ** 2 <= coarse_convolution._MOST_PLACES
            numbers = [f"{ratio(layer, (batch, *shape)):.2f}" for batch in (64, 16)]
            grids = (f"{side // 2} x {side // 2}", f"{side} x {side}")
            channels = (small, large)
            if not transposed:
                grids, channels = grids[::-1], channels[::-1]
            name = f"{kernel} x {kernel}{', transposed' if transposed else ''}"
            print(f"| {name} | {' to '.join(grids)} | {channels[0]} to {channels[1]} |", end=" ")
            print(" | ".join([*numbers, "yes" if used else "no"]), "|", flush=True)


if __name__ == "__main__":
    main()
