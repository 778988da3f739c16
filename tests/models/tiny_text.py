"""A tiny TextToImage and DualEncoder of 16x16 images, and captioned images to train them on."""

import keras
import numpy as np
from keras import layers

from kgen.losses import Gaussian
from kgen.models import DualEncoder, TextToImage
from kgen.networks import MultiscaleDecoder, MultiscaleEncoder
from kgen.text import encoder_from_captions

SHAPE = (16, 16, 3)
COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
CAPTIONS = [f"a {color} {what}" for color in COLORS for what in ("picture", "sheet of paper")]
LATENT_DIM = 4


def text_encoder(trainable=False):
    encoder = encoder_from_captions(CAPTIONS, width=16, num_layers=1, num_heads=2, sequence_length=8, seed=0)
    encoder.trainable = trainable
    return encoder


def decoder(**kwargs):
    sizes = dict(start=4, patch=4, filters=(8,), blocks=1, attention_resolutions=(4,), num_heads=2, condition_dim=32)
    return MultiscaleDecoder(SHAPE, LATENT_DIM, pooled_dim=16, token_dim=16, **{**sizes, **kwargs})


def encoder(output_dim):
    return MultiscaleEncoder(SHAPE, output_dim, pooled_dim=16, filters=8, blocks=0, end=4, patch=4)


def networks(recipe="vae"):
    """The networks of a tiny TextToImage, and what goes with them, as its arguments."""
    parts = {"recipe": recipe, "latent_dim": LATENT_DIM}
    if recipe == "gan":
        return {**parts, "generator": decoder(output_activation="tanh"), "discriminator": encoder(1)}
    parts |= {"discriminator": encoder(1)} if recipe == "vae_gan" else {}
    parts |= {"encoder": encoder(2 * LATENT_DIM), "generator": decoder(), "reconstruction": Gaussian(0.5)}
    return {**parts, "ema_momentum": 0.9}


def model(recipe="vae", trainable=False, **kwargs):
    parts = {"text_encoder": text_encoder(trainable), "image_shape": SHAPE, "seed": 0}
    return TextToImage(**{**parts, **networks(recipe), **kwargs})


def compiled():
    made = model(caption_dropout=0.2)
    made.compile()
    return made


def compiled_with_trainable_encoder():
    made = model(trainable=True)
    made.compile()
    return made


def pictures(count=16):
    """uint8 images of one colour each, and a list of their two captions."""
    names = list(COLORS)
    images = np.zeros((count, *SHAPE), "uint8")
    captions = []
    for i in range(count):
        color = names[i % len(names)]
        images[i] = COLORS[color]
        captions.append([f"a {color} picture", f"a {color} sheet of paper"])
    return images, captions


def dual_encoder(trainable=False, **kwargs):
    """Dense towers on the tiny text encoder."""
    images, pooled = keras.Input(SHAPE, name="images"), keras.Input((16,), name="pooled")
    parts = {
        "image_network": keras.Model(images, layers.Dense(8)(layers.Flatten()(images))),
        "text_network": keras.Model(pooled, layers.Dense(8)(pooled)),
        "embedding_dim": 8,
    }
    return DualEncoder(text_encoder(trainable), SHAPE, seed=0, **{**parts, **kwargs})


def compiled_dual_encoder():
    made = dual_encoder()
    made.compile(keras.optimizers.SGD(0.02))
    return made
