"""Random numbers. Training draws them from saved state; generating draws them from a seed for each image."""

from __future__ import annotations

import math
from collections.abc import Iterable

import keras
from keras import ops

from kgen.serializable import serializable
from kgen.training import backend
from kgen.types import Tensor


@serializable
class SeedGenerator(keras.random.SeedGenerator):
    """A `keras.random.SeedGenerator` that gives each replica under `tf.distribute` different random numbers.

    Keras' own gives all replicas the same noise. The state is saved with the model if the generator is an attribute of
    a `PhasedModel` or of a layer in it.

    Example:

    ```python
    seeds = kgen.training.SeedGenerator(0)
    noise = keras.random.normal((4, 128), seed=seeds)
    ```
    """

    def next(self, ordered: bool = True) -> Tensor:
        """The seed of the next draw, two integers."""
        seed = super().next(ordered)
        index = backend.replica_index()
        if isinstance(index, int) and index == 0:
            return seed
        # An odd constant near 2^32 / golden ratio spreads neighbouring replicas over the seed's range.
        offset = ops.cast(index, seed.dtype) * 2654435769 % 2**31
        return seed + ops.stack([offset, ops.zeros_like(offset)])


def adopt_seeds(layers: Iterable[keras.layers.Layer]) -> None:
    """Turns the `keras.random.SeedGenerator` attributes of layers into kgen's, and keeps their state.

    So a user's plain `keras.layers.Dropout` draws different masks on each replica. On torch it then draws them from
    saved state; for a layer without a seed Keras would use torch's global random numbers.

    Args:
        layers: all layers of a model, nested ones included.

    Example:

    ```python
    dropout = keras.layers.Dropout(0.5)
    kgen.training.seeds.adopt_seeds([dropout])
    type(dropout.seed_generator)        # kgen.training.SeedGenerator
    ```
    """
    for layer in layers:
        for generator in vars(layer).values():
            if type(generator) is keras.random.SeedGenerator:
                # In place: a built layer accepts no other generator, and graphs may already use the variable.
                generator.__class__ = SeedGenerator
            # Not public; only Keras' dropout on torch reads it.
            if isinstance(generator, SeedGenerator) and getattr(generator, "_initial_seed", 0) is None:
                generator._initial_seed = int(ops.convert_to_numpy(generator.state)[0])


def image_noise(seeds: Tensor, indices: Tensor, length: int) -> Tensor:
    """Standard normal noise, one row for each image. A row depends only on its own seed and index.

    A counter-based generator (Threefry-2x32 with 20 rounds; Salmon et al. 2011, "Parallel random numbers: as easy as 1,
    2, 3") and then the Box-Muller transform, in 32-bit integer arithmetic that every backend has. So image i is the
    same alone or in a batch of any size, on TensorFlow, JAX and torch, and in an exported SavedModel.

    Args:
        seeds: int32 tensor `(rows,)`.
        indices: int32 tensor `(rows,)`: the number of the image among those with the same seed.
        length: how many numbers a row has.

    Returns:
        float32 tensor `(rows, length)`.

    Example:

    ```python
    kgen.training.image_noise([7, 7], [0, 1], 128)      # two images of seed 7
    ```
    """
    # Row lengths are multiples of 16 pairs. Kernels round the last few numbers of a tensor, which do not fill a vector
    # register, differently from the rest; otherwise the number of rows would decide which numbers these are.
    pairs = -(-length // 32) * 16
    seeds, indices = ops.cast(seeds, "int32"), ops.cast(indices, "int32")
    counter = ops.expand_dims(ops.arange(pairs, dtype="int32"), 0)
    first, second = threefry(ops.expand_dims(seeds, 1), ops.expand_dims(indices, 1), counter, ops.zeros_like(counter))
    # 24 bits per number, in (0, 1): the logarithm below needs the end points excluded.
    uniform = [(ops.cast(_shift_right(bits, 8), "float32") + 0.5) * 2.0**-24 for bits in (first, second)]
    radius = ops.sqrt(-2.0 * ops.log(uniform[0]))
    angle = (2.0 * math.pi) * uniform[1]
    return ops.concatenate([radius * ops.cos(angle), radius * ops.sin(angle)], axis=1)[:, :length]


# Rotation distances and the key's parity word are the published constants of Threefry-2x32.
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def threefry(key_0: Tensor, key_1: Tensor, counter_0: Tensor, counter_1: Tensor) -> tuple[Tensor, Tensor]:
    """Two random words by Threefry-2x32-20, from int32 tensors that broadcast together; their bits are unsigned."""
    keys = (key_0, key_1, ops.bitwise_xor(ops.bitwise_xor(key_0, key_1), ops.full_like(key_0, _PARITY)))
    x, y = counter_0 + keys[0], counter_1 + keys[1]
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x = x + y
            y = ops.bitwise_xor(x, _rotate(y, distance))
        x, y = x + keys[(group + 1) % 3], y + keys[(group + 2) % 3] + (group + 1)
    return x, y


def _shift_right(x, distance):
    # A right shift of int32 copies the sign; the mask clears the copies.
    return ops.bitwise_and(ops.right_shift(x, distance), (1 << (32 - distance)) - 1)


def _rotate(x, distance):
    return ops.bitwise_or(ops.left_shift(x, distance), _shift_right(x, 32 - distance))
