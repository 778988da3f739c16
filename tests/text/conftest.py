"""A tiny encoder, made once: no test of it trains it."""

import pytest

CAPTIONS = [
    "a large red circle above a small blue square",
    "a blue square",
    "a green circle",
    "一个红苹果",
    "café noir",
]


@pytest.fixture(scope="session")
def encoder():
    pytest.importorskip("tensorflow_text")
    from kgen.text import encoder_from_captions

    encoder = encoder_from_captions(CAPTIONS, width=16, num_layers=1, num_heads=2, sequence_length=16, seed=0)
    encoder.trainable = False
    return encoder
