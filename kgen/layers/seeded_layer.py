"""Base of the layers that draw random numbers."""

from __future__ import annotations

import numbers
from typing import Any, TypeAlias

import keras

from kgen.serializable import serializable

Seed: TypeAlias = int | keras.random.SeedGenerator | None


@serializable
class SeededLayer(keras.layers.Layer):
    """Base of the layers that draw random numbers: it holds their `keras.random.SeedGenerator`.

    Args:
        seed: an int, a `SeedGenerator` to share with others, or None for a random seed.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: if `seed` is something else.

    Example:
        ```python
        seeds = kgen.training.SeedGenerator(0)
        first, second = GaussianSampling(seed=seeds), GaussianSampling(seed=seeds)  # both draw from `seeds`
        ```
    """

    def __init__(self, seed: Seed = None, **kwargs: Any):
        super().__init__(**kwargs)
        if seed is not None and not isinstance(seed, (numbers.Integral, keras.random.SeedGenerator)):
            raise TypeError(f"{type(self).__name__}: seed must be None, an int or a SeedGenerator; got {seed!r}.")
        # Keras' own generator does not accept NumPy integers.
        self.seed = int(seed) if isinstance(seed, numbers.Integral) else seed
        is_generator = isinstance(seed, keras.random.SeedGenerator)
        self.seed_generator = seed if is_generator else keras.random.SeedGenerator(self.seed)
