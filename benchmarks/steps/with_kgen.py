"""The works in kgen: a model, its `compile` and its `fit`, all else as it comes."""

import keras

import kgen
from benchmarks.steps.works import WORKS, networks


def trainer(name, images):
    """A function that makes so many steps of a work; of WGAN-GP so many times five."""
    work = WORKS[name]
    first, second = networks(name)

    def adam():
        return keras.optimizers.Adam(work.rate, beta_1=work.beta_1, beta_2=work.beta_2)

    if name == "vae":
        model = kgen.models.VAE(first, second, work.latent_dim, reconstruction="logistic")
        model.compile(adam())
    else:
        model = kgen.models.GAN(first, second, work.latent_dim)
        choices = {"loss": "non_saturating", "penalties": []}
        if name == "wgan_gp":
            choices = {"loss": "wasserstein", "penalties": [kgen.losses.GradientPenalty(10.0)]}
        optimizers = {"discriminator": adam(), "generator": adam()}
        model.compile(optimizers, discriminator_steps=work.critic_steps, **choices)

    def train(steps):
        count = steps * work.critic_steps * work.batch
        model.fit(images[:count], batch_size=work.batch, epochs=1, verbose=0)

    return train
