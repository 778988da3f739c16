"""Tiny models of 16x16 pictures in the 4x4 latents of an autoencoder of two layers."""

import keras
import numpy as np
from keras import layers, ops

from kgen.models import GAN, VAE, Autoencoder, TextToImage
from kgen.spaces import LatentSpace
from kgen.training import backend
from tests.models import tiny, tiny_text

SHAPE, GRID = (16, 16, 3), (4, 4, 2)
LATENT_DIM = tiny.LATENT_DIM


def run_eagerly(monkeypatch):
    """Graphs that run once cost more to make than to run."""

    def compiled(function, state, axes=1):
        def call(inputs):
            results = function({key: ops.convert_to_tensor(value) for key, value in inputs.items()})
            return keras.tree.map_structure(ops.convert_to_numpy, results)

        return call

    monkeypatch.setattr(backend, "compiled", compiled)


def autoencoder(seed=0):
    """A patch of 4 x 4 pixels becomes two numbers, and the other way around: of images that it has made, exactly."""
    keras.utils.set_random_seed(seed)
    images, latents = keras.Input((None, None, 3)), keras.Input((None, None, 2))
    decoder = keras.Model(latents, layers.Conv2DTranspose(3, 4, 4)(latents))
    inverse = np.linalg.pinv(decoder.get_weights()[0].reshape(48, 2)).T.reshape(4, 4, 3, 2)
    encoder = keras.Model(images, layers.Conv2D(4, 4, 4)(images))
    encoder.set_weights([np.concatenate([inverse, 0 * inverse], axis=-1), np.zeros(4)])
    return Autoencoder(encoder, decoder)


def space(**kwargs):
    return LatentSpace(autoencoder(), **kwargs)


def gan(num_classes=None, views=None, **kwargs):
    generator = tiny.network("latents", (LATENT_DIM,), GRID, num_classes)
    discriminator = tiny.network("images", GRID, (1,), num_classes)
    kwargs = {"space": space(**(views or {})), "seed": 0, **kwargs}
    return GAN(generator, discriminator, LATENT_DIM, num_classes=num_classes, **kwargs)


def ac_gan(**kwargs):
    """A GAN whose discriminator also names the class."""
    images = keras.Input(GRID, name="images")
    h = layers.Dense(8, activation="leaky_relu", name="features")(layers.Flatten()(images))
    discriminator = keras.Model(images, {"logits": layers.Dense(1)(h), "labels": layers.Dense(tiny.CLASSES)(h)})
    generator = tiny.network("latents", (LATENT_DIM,), GRID, tiny.CLASSES)
    return GAN(generator, discriminator, LATENT_DIM, num_classes=tiny.CLASSES, space=space(), seed=0, **kwargs)


def vae(num_classes=None, views=None, **kwargs):
    encoder = tiny.network("images", GRID, (2 * LATENT_DIM,), num_classes)
    decoder = tiny.network("latents", (LATENT_DIM,), GRID, num_classes)
    kwargs = {"space": space(**(views or {})), "seed": 0, **kwargs}
    return VAE(encoder, decoder, LATENT_DIM, num_classes=num_classes, **kwargs)


def text_to_image(recipe="vae", views=None, **kwargs):
    """Its generator and, if it has one, its discriminator are told the pooled features of captions."""
    parts = {"generator": tiny.network("latents", (LATENT_DIM,), GRID, 16)}
    if recipe != "gan":
        parts["encoder"] = tiny.network("images", GRID, (2 * LATENT_DIM,))
    if recipe != "vae":
        parts["discriminator"] = tiny.network("images", GRID, (1,), 16)
    parts |= {"latent_dim": LATENT_DIM, "space": space(**(views or {})), "seed": 0, **kwargs}
    return TextToImage(tiny_text.text_encoder(), SHAPE, recipe, **parts)


# === Factories for the checks of every PhasedModel ===
def compiled_gan():
    model = gan(views={"flip": True, "shift": 4})
    model.compile()
    return model


def compiled_text_to_image():
    model = text_to_image(views={"flip": True}, caption_dropout=0.2)
    model.compile()
    return model


def quiet_vae():
    """Nothing of it is random."""
    model = vae()
    model.compile(keras.optimizers.SGD(1e-2))
    model.objective.posterior[True] = tiny.FixedPosterior(0.3)
    return model


# === Data ===
def pictures(count=16):
    """uint8 pictures of bright and dark areas, whose values reach both ends of the range."""
    areas = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3))
    images = np.kron(areas, np.ones((1, 2, 2, 1))).astype("uint8")
    images[:, 0, 0], images[:, 0, 1] = 0, 255
    return images


def captions(count=16):
    return [tiny_text.CAPTIONS[i % len(tiny_text.CAPTIONS)] for i in range(count)]
