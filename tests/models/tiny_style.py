"""A tiny feature network and decoder for tests of style transfer."""

import keras
import numpy as np
from keras import layers

from kgen.models import StyleTransfer
from kgen.networks import style_decoder


def encoder(channels=3):
    """Maps at 1/1 and 1/2 of an image; it takes 16x16, but its layers any size."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((16, 16, channels)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="fine"),
            layers.MaxPooling2D(name="halve"),
            layers.Conv2D(6, 3, padding="same", activation="relu", name="coarse"),
            layers.Conv2D(2, 3, padding="same", name="unused"),
        ]
    )


def model(**kwargs):
    decoder = style_decoder(6, 2, filters=4, max_filters=4)
    arguments = {"encoder": encoder(), "decoder": decoder, "feature_layers": ["fine", "coarse"], "seed": 0}
    return StyleTransfer(**{**arguments, "ema_momentum": 0.9, **kwargs})


def compiled(**kwargs):
    made = model()
    made.compile(keras.optimizers.Adam(0.01), **kwargs)
    return made


def eager(**kwargs):
    """For a few steps, which take less time than compiling one."""
    return compiled(run_eagerly=True, **kwargs)


def images(count=12, size=(16, 16), seed=0):
    """Blocks of random colours."""
    blocks = np.random.default_rng(seed).integers(0, 256, (count, -(-size[0] // 4), -(-size[1] // 4), 3))
    return blocks.repeat(4, axis=1).repeat(4, axis=2)[:, : size[0], : size[1]].astype("uint8")


def stripes(count=5, size=(16, 20), seed=1):
    """Red or blue lines, of other size and number than the images."""
    lines = np.zeros((count, *size, 3), "uint8")
    lines[:, ::2, :, 0] = np.random.default_rng(seed).integers(150, 256, (count, 1, 1))
    lines[::2] = lines[::2, ..., ::-1]
    return lines


def trained(epochs=120):
    keras.utils.set_random_seed(0)
    model = compiled(style_weight=5.0)
    history = model.fit(images(), stripes(), epochs=epochs, batch_size=6, verbose=0)
    model.history_of_training = history.history
    return model
