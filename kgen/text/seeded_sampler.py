"""Sampling of words in which each text has random numbers of its own."""

from __future__ import annotations

import functools

import keras
import numpy as np
from keras import ops

from kgen.text.load_text_model import import_keras_hub


@functools.cache
def seeded_sampler_class():
    """The class `SeededSampler`, whose base is KerasHub's.

    Its `SeededSampler(top_k, temperature, seed)` draws the next token from the `top_k` likeliest. What it draws for a
    text depends on the seed, on that text's prompt and on the position alone: not on the texts beside it, nor on what
    was sampled before. KerasHub's samplers draw for the batch as a whole, and go on where the last call ended.
    """

    class SeededSampler(import_keras_hub().samplers.Sampler):
        def __init__(self, top_k=40, temperature=1.0, seed=0):
            super().__init__(temperature=temperature)
            self.top_k = top_k
            self.seed = seed
            # Counts the steps of a call; KerasHub carries its state through the loop on every backend.
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
    """An int32 number for each row of tokens, of those under the mask."""
    factors = np.random.default_rng(0).integers(-(2**31), 2**31, tokens.shape[-1]) | 1
    tokens = ops.cast(tokens, "int32") * ops.cast(mask, "int32")
    return ops.cast(ops.sum(tokens * ops.convert_to_tensor(factors.astype("int32")), axis=-1), "int32")


def _uniform(number):
    """Numbers in [0, 1) of int32 numbers."""
    return ops.cast(_shift_right(_mixed(number), 8), "float32") * 2.0**-24


def _mixed(number):
    """MurmurHash3's finalizer (Appleby 2011): neighbouring numbers become unlike each other. Its factors, as int32."""
    number = ops.bitwise_xor(number, _shift_right(number, 16)) * (0x85EBCA6B - 2**32)
    number = ops.bitwise_xor(number, _shift_right(number, 13)) * (0xC2B2AE35 - 2**32)
    return ops.bitwise_xor(number, _shift_right(number, 16))


def _shift_right(x, distance):
    # A right shift of int32 copies the sign; the mask clears the copies.
    return ops.bitwise_and(ops.right_shift(x, distance), (1 << (32 - distance)) - 1)
