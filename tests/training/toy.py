"""Small models for the tests of kgen.training: an adversarial one with everything in it, and a linear one."""

import keras
import numpy as np
from keras import layers, ops

from kgen.training import MovingAverage, Phase, PhasedModel, backend


@keras.saving.register_keras_serializable(package="kgen_tests")
class Toy(PhasedModel):
    """A GAN of points: BatchNorm, a penalty on the gradient by the input, a moving average, two phases.

    `noisy` adds Dropout and draws the latents; otherwise they are in the data, and nothing is random. `shared`: both
    phases see the same generated points, for one pass of the generator.
    """

    def __init__(self, noisy=True, every=2, shared=False, seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.noisy = noisy
        self.shared = shared
        self.every = every
        self.generator = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(6, use_bias=False),
                layers.BatchNormalization(momentum=0.9),
                layers.ReLU(),
                layers.Dense(3),
            ]
        )
        # Without a seed: on torch Keras' own would draw from torch's global numbers, which no model saves.
        dropout = [layers.Dropout(0.2)] if noisy else []
        self.discriminator = keras.Sequential(
            [keras.Input((3,)), layers.Dense(6), layers.LeakyReLU(), *dropout, layers.Dense(1)]
        )
        self.average = MovingAverage(self.generator, 0.9)
        self.built = True

    def phases(self):
        return [
            Phase(
                "discriminator",
                self.discriminator_loss,
                self.discriminator.trainable_variables,
                terms=("adversarial", "penalty"),
            ),
            Phase(
                "generator",
                self.generator_loss,
                self.generator.trainable_variables,
                every=self.every,
                forward=self.forward if self.shared else None,
            ),
        ]

    def prepare(self, x, y=None):
        return {name: ops.cast(value, self.compute_dtype) for name, value in x.items()}

    def latents(self, batch, training):
        if not self.noisy:
            return batch["latents"]
        return keras.random.normal(ops.shape(batch["latents"]), dtype=self.compute_dtype, seed=self.seeds(training))

    def judge(self, points, training):
        return ops.cast(self.discriminator(points, training=training)[:, 0], "float32")

    def forward(self, batch, training):
        return {"fake": self.generator(self.latents(batch, training), training=training)}, {}

    def fake(self, batch, training):
        return batch["fake"] if self.shared else self.forward(batch, training)[0]["fake"]

    def discriminator_loss(self, batch, training):
        points = batch["points"]
        fake = self.fake(batch, training)
        gradient = backend.input_gradient(lambda x: self.judge(x, training), points)
        return {
            "adversarial": ops.softplus(-self.judge(points, training)) + ops.softplus(self.judge(fake, training)),
            "penalty": ops.sum(ops.square(ops.cast(gradient, "float32")), axis=-1),
        }

    def generator_loss(self, batch, training):
        fake = self.fake(batch, training)
        return ops.softplus(-self.judge(fake, training))

    def after_step(self):
        self.average.update(self.generator)

    def call(self, latents):
        return self.average(latents)


def points(rows=43):
    """Data for `Toy`: no multiple of 8 rows, unlike one another."""
    numbers = np.random.default_rng(0)
    return {
        "points": (numbers.normal(size=(rows, 3)) * [1.0, 2.0, 0.5] + 1.0).astype("float32"),
        "latents": numbers.normal(size=(rows, 4)).astype("float32"),
    }


def noisy():
    """With all that is random, two kinds of optimizer, one with a schedule."""
    model = Toy()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.05, 10, 0.9)
    model.compile({"discriminator": keras.optimizers.RMSprop(0.02), "generator": keras.optimizers.Adam(schedule)})
    return model


def noisy_eager():
    """As `noisy`, not compiled: for short trainings."""
    model = noisy()
    model.run_eagerly = True
    return model


def quiet():
    """With nothing random; every phase in every step."""
    model = Toy(noisy=False, every=1)
    model.compile({"discriminator": keras.optimizers.SGD(0.3), "generator": keras.optimizers.SGD(0.3)})
    return model


def quiet_alternating():
    """With nothing random; the generator in every second step."""
    model = Toy(noisy=False, every=2)
    model.compile(keras.optimizers.SGD(0.3))
    return model


def quiet_adam():
    """With nothing random, and Adam."""
    model = Toy(noisy=False, every=2)
    model.compile(keras.optimizers.Adam(0.02, beta_1=0.5))
    return model


@keras.saving.register_keras_serializable(package="kgen_tests")
class Lines(PhasedModel):
    """Two straight lines through the same points, each fitted in a phase of its own: quick to compile."""

    def __init__(self, seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.first = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
        self.second = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
        self.built = True

    def phases(self):
        return [
            Phase("first", lambda batch, training: self.error(self.first, batch), self.first.trainable_variables),
            Phase("second", lambda batch, training: self.error(self.second, batch), self.second.trainable_variables),
        ]

    def error(self, line, batch):
        x, y = batch
        return ops.square(ops.cast(line(x)[:, 0], "float32") - y)

    def call(self, x):
        return self.first(x) + self.second(x)


def line_data(rows=20):
    """Data for `Lines`: `(x, y)`."""
    x = np.random.default_rng(0).normal(size=(rows, 2)).astype("float32")
    return x, x[:, 0] - 2 * x[:, 1] + 0.5
