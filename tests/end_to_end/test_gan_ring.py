"""Eight Gaussians on a ring: what the default recipe covers, and the plain pair of players does not."""

import time

import keras
import numpy as np
import pytest
from keras import layers

from kgen.models import GAN

MODES, RADIUS, SIGMA = 8, 0.7, 0.02
LATENT_DIM = 64
BATCH_SIZE, STEPS = 32, 6000
# Of 2000 samples, within three sigma of a mode, for it to count as covered.
SAMPLES, ENOUGH = 2000, 20


def centers():
    angles = 2.0 * np.pi * np.arange(MODES) / MODES
    return RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def points(count):
    """Points as images of one pixel with two channels."""
    random = np.random.default_rng(0)
    chosen = centers()[random.integers(0, MODES, count)] + SIGMA * random.normal(size=(count, 2))
    return chosen.reshape(count, 1, 1, 2).astype("float32")


def perceptron(inputs, outputs):
    hidden = [layers.Dense(128, activation="relu") for _ in range(4)]
    return keras.Sequential([keras.Input(inputs), layers.Flatten(), *hidden, *outputs])


def trained(seed, ema_momentum=0.999, **options):
    keras.utils.set_random_seed(seed)
    generator = perceptron((LATENT_DIM,), [layers.Dense(2), layers.Reshape((1, 1, 2))])
    gan = GAN(generator, perceptron((1, 1, 2), [layers.Dense(1)]), LATENT_DIM, ema_momentum=ema_momentum, seed=seed)
    gan.compile(steps_per_execution=100, **options)
    gan.fit(points(BATCH_SIZE * STEPS), batch_size=BATCH_SIZE, verbose=0)
    return gan


def coverage(gan):
    """How many modes are covered, and the share of samples within three sigma of one."""
    samples = gan.generate(SAMPLES, seed=0).reshape(SAMPLES, 2) / 127.5 - 1.0
    distances = np.linalg.norm(samples[:, None] - centers(), axis=-1)
    near = distances.min(axis=1) < 3.0 * SIGMA
    found = np.bincount(distances.argmin(axis=1)[near], minlength=MODES)
    return int((found >= ENOUGH).sum()), float(near.mean())


@pytest.mark.slow
def test_the_default_recipe_covers_all_modes_and_the_plain_pair_does_not():
    start = time.perf_counter(), time.process_time()
    modes, near = coverage(trained(seed=0))
    # It takes about 20 s of one core; by the clock more, where others share it.
    assert min(time.perf_counter() - start[0], time.process_time() - start[1]) < 60.0
    assert modes == MODES and near > 0.6
    # The same networks, steps and learning rate without the penalty and the average. With seeds 0 to 2 these covered 4,
    # 3 and 2 of the 8 modes; the default recipe 8 each time, with 81% to 87% of the samples near one.
    plain, _ = coverage(trained(seed=0, penalties=[], ema_momentum=0.0))
    assert plain < MODES
