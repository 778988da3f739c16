"""Faster TensorFlow code for some Keras layers, in a training step on one device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import keras

from kgen.training.backend import byte_dropout, coarse_convolution, fused_batch_norm


@contextlib.contextmanager
def fast_layers(layers: Iterable[keras.layers.Layer], on_cpu: bool = True) -> Iterator[None]:
    """A scope in which these layers use a faster `call`, if there is one. All state stays in the layers."""
    ways = [fused_batch_norm.call_of, byte_dropout.call_of, *[coarse_convolution.call_of] * on_cpu]
    calls = [(layer, way(layer)) for layer in layers for way in ways]
    changed = [(layer, call) for layer, call in calls if call is not None]
    for layer, call in changed:
        layer.__dict__["call"] = call
    try:
        yield
    finally:
        for layer, _ in changed:
            layer.__dict__.pop("call", None)
