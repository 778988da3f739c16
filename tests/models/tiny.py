"""Tiny GANs and VAEs of 8x8 pictures for the tests of kgen.models and kgen.callbacks, and pictures to train them on.

Their networks are dense, because tracing is what costs time in a test.
"""

import keras
import numpy as np
from keras import layers

from kgen.models import GAN, VAE

SHAPE = (8, 8, 3)
LATENT_DIM = 4
CLASSES = 3


class FixedPosterior(layers.Layer):
    """In place of `GaussianSampling`: always the point that is so many deviations from the mean."""

    def __init__(self, deviations):
        super().__init__()
        self.deviations = deviations
        self.built = True

    def call(self, mean, log_variance):
        return mean + self.deviations * keras.ops.exp(0.5 * log_variance)


def network(name, shape, outputs, num_classes=None, activation=None):
    """A dense network from a tensor called `name`, or from a dict of it and `pooled`."""
    inputs = {name: keras.Input(shape, name=name)}
    x = layers.Flatten()(inputs[name])
    if num_classes is not None:
        inputs["pooled"] = keras.Input((num_classes,), name="pooled")
        x = layers.Concatenate()([x, inputs["pooled"]])
    x = layers.Dense(16, activation="leaky_relu")(x)
    x = layers.Dense(int(np.prod(outputs)), activation=activation)(x)
    x = layers.Reshape(outputs)(x)
    return keras.Model(inputs if num_classes is not None else inputs[name], x)


def decoder(num_classes=None, activation=None):
    return network("latents", (LATENT_DIM,), SHAPE, num_classes, activation)


def encoder(output_dim, num_classes=None, shape=SHAPE):
    return network("images", shape, (output_dim,), num_classes)


def classifying_discriminator():
    """With an auxiliary classifier, and a layer of features."""
    images = keras.Input(SHAPE, name="images")
    h = layers.Dense(32, activation="leaky_relu", name="features")(layers.Flatten()(images))
    return keras.Model(images, {"logits": layers.Dense(1)(h), "labels": layers.Dense(CLASSES)(h)})


def ac_gan(seed=0, **kwargs):
    """A GAN whose discriminator also names the class."""
    generator = decoder(CLASSES, "tanh")
    return GAN(generator, classifying_discriminator(), LATENT_DIM, num_classes=CLASSES, seed=seed, **kwargs)


def gan(num_classes=None, seed=0, **kwargs):
    generator, discriminator = decoder(num_classes, "tanh"), encoder(1, num_classes)
    return GAN(generator, discriminator, LATENT_DIM, num_classes=num_classes, seed=seed, **kwargs)


def vae(num_classes=None, adversarial=False, seed=0, **kwargs):
    if adversarial:
        kwargs["discriminator"] = encoder(1, num_classes)
    parts = encoder(2 * LATENT_DIM, num_classes), decoder(num_classes)
    return VAE(*parts, LATENT_DIM, num_classes=num_classes, seed=seed, **kwargs)


def networks_for_text(features):
    """Arguments of a TextToImage whose VAE is conditioned on the pooled features of a text encoder."""
    parts = {"encoder": encoder(2 * LATENT_DIM), "generator": decoder(features)}
    return {**parts, "latent_dim": LATENT_DIM, "reconstruction": "gaussian"}


def vae_gan(num_classes=None, **kwargs):
    return vae(num_classes, adversarial=True, **kwargs)


def pictures(count=16):
    """uint8 pictures of two colours each, split at some height, whose values reach both ends of the range."""
    numbers = np.random.default_rng(0)
    images = np.zeros((count, *SHAPE), "uint8")
    for image in images:
        split = numbers.integers(2, 7)
        image[:split], image[split:] = numbers.integers(0, 256, (2, 3))
    images[:, 0, 0], images[:, 0, 1] = 0, 255
    return images


def bands(count=96):
    """`(uint8 pictures, labels)`: dark, with bright columns on the left, in the middle or on the right."""
    numbers, of_class = np.random.default_rng(0), np.arange(count) % CLASSES
    images = numbers.integers(0, 60, (count, *SHAPE))
    for image, label in zip(images, of_class):
        image[:, 3 * label : 3 * label + 2] = numbers.integers(180, 256, (SHAPE[0], 2, 3))
    return images.astype("uint8"), of_class


def brightest_band(images):
    """The labels of `bands`, from the pictures."""
    return np.argmax([images[:, :, 3 * i : 3 * i + 2].mean(axis=(1, 2, 3)) for i in range(CLASSES)], axis=0)


def labels(count=16):
    return np.arange(count) % CLASSES


def weights(network):
    return [keras.ops.convert_to_numpy(v) for v in network.variables]


def moved(before, network):
    """Whether any weight of a network is another than in a copy of before."""
    return any(not np.array_equal(a, b) for a, b in zip(before, weights(network), strict=True))
