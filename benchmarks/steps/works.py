"""The works: their sizes, and their networks in Keras, which kgen and Keras alone share.

Architectures and hyperparameters are those of the tutorials that `WORKS` names. Discriminators end in logits, and
images are in [-1, 1], or in [0, 1] for the VAE.
"""

import math
from dataclasses import dataclass

import keras
from keras import layers


@dataclass(frozen=True)
class Work:
    """What is trained, and on how much.

    Args:
        title: of its row, with its source.
        shape: of an image.
        batch: images a step.
        latent_dim: numbers in a latent vector.
        critic_steps: steps of the discriminator for each one of the generator.
        rate, beta_1, beta_2: of Adam.
    """

    title: str
    shape: tuple
    batch: int
    latent_dim: int
    critic_steps: int = 1
    rate: float = 2e-4
    beta_1: float = 0.5
    beta_2: float = 0.999


WORKS = {
    "mlp": Work("dense GAN 28x28 (Real Python)", (28, 28, 1), 64, 100, rate=1e-4, beta_1=0.9),
    "dcgan_torch": Work("DCGAN 64x64x3 (PyTorch tutorial)", (64, 64, 3), 64, 100),
    "dcgan_keras": Work("DCGAN 64x64x3 (keras.io)", (64, 64, 3), 16, 128, rate=1e-4, beta_1=0.9),
    "wgan_gp": Work("WGAN-GP 28x28 (keras.io), 5 critic steps", (28, 28, 1), 64, 128, critic_steps=5, beta_2=0.9),
    "vae": Work("VAE 28x28 (keras.io)", (28, 28, 1), 128, 2, rate=1e-3, beta_1=0.9),
}


def networks(name):
    """`(generator, discriminator)` of a GAN; `(encoder, decoder)` of the VAE."""
    return {"mlp": _mlp, "dcgan_torch": _dcgan_torch, "dcgan_keras": _dcgan_keras, "wgan_gp": _wgan, "vae": _vae}[name](
        WORKS[name]
    )


def _model(inputs, stack):
    x = start = keras.Input(inputs)
    for layer in stack:
        x = layer(x)
    return keras.Model(start, x)


def _float(units_or_layer):
    """The last layer of a network computes in float32."""
    return layers.Activation(units_or_layer, dtype="float32")


def _mlp(work):
    generator = [layer for n in (256, 512, 1024) for layer in (layers.Dense(n, "relu"),)]
    generator += [layers.Dense(math.prod(work.shape)), _float("tanh"), layers.Reshape(work.shape, dtype="float32")]
    discriminator: list = [layers.Flatten()]
    for n in (1024, 512, 256):
        discriminator += [layers.Dense(n, "relu"), layers.Dropout(0.3)]
    discriminator += [layers.Dense(1), _float("linear")]
    return _model((work.latent_dim,), generator), _model(work.shape, discriminator)


def _normal(stddev, mean=0.0):
    return keras.initializers.RandomNormal(mean, stddev)


def _dcgan_torch(work):
    def norm():
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=_normal(0.02, 1.0))

    kernel = {"use_bias": False, "kernel_initializer": _normal(0.02)}
    # The transposed convolution of a single position is a matrix product.
    generator: list = [layers.Dense(4 * 4 * 512, **kernel), layers.Reshape((4, 4, 512)), norm(), layers.ReLU()]
    for filters in (256, 128, 64):
        generator += [layers.Conv2DTranspose(filters, 4, 2, "same", **kernel), norm(), layers.ReLU()]
    generator += [layers.Conv2DTranspose(3, 4, 2, "same", **kernel), _float("tanh")]
    discriminator: list = [layers.Conv2D(64, 4, 2, "same", **kernel), layers.LeakyReLU(0.2)]
    for filters in (128, 256, 512):
        discriminator += [layers.Conv2D(filters, 4, 2, "same", **kernel), norm(), layers.LeakyReLU(0.2)]
    discriminator += [layers.Conv2D(1, 4, 1, "valid", **kernel), layers.Flatten(), _float("linear")]
    return _model((work.latent_dim,), generator), _model(work.shape, discriminator)


def _dcgan_keras(work):
    discriminator: list = []
    for filters in (64, 128, 128):
        discriminator += [layers.Conv2D(filters, 4, 2, "same"), layers.LeakyReLU(0.2)]
    discriminator += [layers.Flatten(), layers.Dropout(0.2), layers.Dense(1), _float("linear")]
    generator: list = [layers.Dense(8 * 8 * 128), layers.Reshape((8, 8, 128))]
    for filters in (128, 256, 512):
        generator += [layers.Conv2DTranspose(filters, 4, 2, "same"), layers.LeakyReLU(0.2)]
    generator += [layers.Conv2D(3, 5, padding="same"), _float("tanh")]
    return _model((work.latent_dim,), generator), _model(work.shape, discriminator)


def _wgan(work):
    discriminator: list = [layers.ZeroPadding2D(2)]
    for filters, dropout in ((64, 0.0), (128, 0.3), (256, 0.3), (512, 0.0)):
        discriminator += [layers.Conv2D(filters, 5, 2, "same"), layers.LeakyReLU(0.2)]
        discriminator += [layers.Dropout(dropout)] * bool(dropout)
    discriminator += [layers.Flatten(), layers.Dropout(0.2), layers.Dense(1), _float("linear")]
    generator: list = [layers.Dense(4 * 4 * 256, use_bias=False), layers.BatchNormalization(), layers.LeakyReLU(0.2)]
    generator += [layers.Reshape((4, 4, 256))]
    for filters in (128, 64):
        generator += [layers.UpSampling2D(), layers.Conv2D(filters, 3, padding="same", use_bias=False)]
        generator += [layers.BatchNormalization(), layers.LeakyReLU(0.2)]
    generator += [layers.UpSampling2D(), layers.Conv2D(1, 3, padding="same", use_bias=False)]
    generator += [layers.BatchNormalization(), _float("tanh"), layers.Cropping2D(2, dtype="float32")]
    return _model((work.latent_dim,), generator), _model(work.shape, discriminator)


def _vae(work):
    encoder = [layers.Conv2D(filters, 3, 2, "same", activation="relu") for filters in (32, 64)]
    # Means, then log-variances.
    encoder += [layers.Flatten(), layers.Dense(16, "relu"), layers.Dense(2 * work.latent_dim), _float("linear")]
    decoder: list = [layers.Dense(7 * 7 * 64, "relu"), layers.Reshape((7, 7, 64))]
    decoder += [layers.Conv2DTranspose(filters, 3, 2, "same", activation="relu") for filters in (64, 32)]
    decoder += [layers.Conv2DTranspose(1, 3, padding="same"), _float("linear")]
    return _model(work.shape, encoder), _model((work.latent_dim,), decoder)
