"""Sampling of tokens in which every text has its own random numbers."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen.text.text_models import import_keras_hub


@functools.cache
def seeded_sampler_class() -> type:
    """The class `SeededSampler`; made on first use, because its base is KerasHub's.

    `SeededSampler(top_k, temperature, seed)` draws the next token from the `top_k` likeliest. What it draws for a text
    depends only on the seed, the text's prompt and the position: not on the other texts in the batch, nor on earlier
    calls. KerasHub's samplers draw for the whole batch, and continue where the last call ended.
    """
    base: Any = import_keras_hub().samplers.Sampler

    class SeededSampler(base):
        def __init__(self, top_k=40, temperature=1.0, seed=0):
            super().__init__(temperature=temperature)
            self.top_k = top_k
            self.seed = seed
            # Counts the steps of a call; on every backend KerasHub carries this state through the loop.
            self.steps = keras.random.SeedGenerator(seed)

        def restart(self):
            self.steps.state.assign([self.seed, 0])

        def __call__(self, next, prompt, index=0, mask=None, **kwargs):
            self._keys = _hashes(prompt, mask)
            self._first = ops.cast(index, "int32")
            return super().__call__(next, prompt, index=index, mask=mask, **kwargs)

        def get_next_token(self, probabilities):
            seed, step = ops.unstack(ops.cast(self.steps.next(), "int32"), num=2)
            share = _uniform(_mixed(self._keys + seed) + self._first + step)
            likeliest, tokens = ops.top_k(probabilities, k=min(self.top_k, probabilities.shape[-1]))
            bounds = ops.cumsum(likeliest, axis=-1)
            chosen = ops.sum(ops.cast(bounds < (share * bounds[:, -1])[:, None], "int32"), axis=-1, keepdims=True)
            chosen = ops.minimum(chosen, tokens.shape[-1] - 1)
            return ops.take_along_axis(tokens, chosen, axis=-1)[:, 0]

    return SeededSampler


def _hashes(tokens, mask):
    """An int32 hash of each row's tokens under the mask."""
    factors = np.random.default_rng(0).integers(-(2**31), 2**31, tokens.shape[-1]) | 1
    tokens = ops.cast(tokens, "int32") * ops.cast(mask, "int32")
    return ops.cast(ops.sum(tokens * ops.convert_to_tensor(factors.astype("int32")), axis=-1), "int32")


def _uniform(number):
    """From int32 numbers to numbers in [0, 1)."""
    return ops.cast(_shift_right(_mixed(number), 8), "float32") * 2.0**-24


def _mixed(number):
    """MurmurHash3's finalizer (Appleby 2011), with its factors as int32: neighbouring numbers become very different."""
    number = ops.bitwise_xor(number, _shift_right(number, 16)) * (0x85EBCA6B - 2**32)
    number = ops.bitwise_xor(number, _shift_right(number, 13)) * (0xC2B2AE35 - 2**32)
    return ops.bitwise_xor(number, _shift_right(number, 16))


def _shift_right(x, distance):
    # A right shift of int32 copies the sign; the mask clears the copies.
    return ops.bitwise_and(ops.right_shift(x, distance), (1 << (32 - distance)) - 1)
