"""Small dense networks of 8x8 images, for tests that are not about architectures."""

import keras
import numpy as np
from keras import layers

SHAPE = (8, 8, 3)
LATENT_DIM = 4
CLASSES = 3


def network(name, shape, outputs, num_classes=None):
    """A dense network from a tensor called `name`, or from a dict of it and `pooled`."""
    inputs = {name: keras.Input(shape, name=name)}
    x = layers.Flatten()(inputs[name])
    if num_classes is not None:
        inputs["pooled"] = keras.Input((num_classes,), name="pooled")
        x = layers.Concatenate()([x, inputs["pooled"]])
    x = layers.Dense(16, activation="leaky_relu")(x)
    x = layers.Reshape(outputs)(layers.Dense(int(np.prod(outputs)))(x))
    return keras.Model(inputs if num_classes is not None else inputs[name], x)


def decoder(num_classes=None):
    return network("latents", (LATENT_DIM,), SHAPE, num_classes)


def encoder(output_dim, num_classes=None, shape=SHAPE):
    return network("images", shape, (output_dim,), num_classes)


def classifying_discriminator():
    images = keras.Input(SHAPE, name="images")
    h = layers.Dense(16, activation="leaky_relu", name="features")(layers.Flatten()(images))
    return keras.Model(images, {"logits": layers.Dense(1)(h), "labels": layers.Dense(CLASSES)(h)})


def images(count=4):
    """float32 images in [-1, 1]."""
    return np.random.default_rng(0).uniform(-1, 1, (count, *SHAPE)).astype("float32")
