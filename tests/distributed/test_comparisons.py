"""What looks across the samples of a batch sees the batches of all replicas."""

import importlib.util

import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen import losses
from kgen.layers import MinibatchStandardDeviation, Modulation
from kgen.training import Phase, PhasedModel, backend
from tests.checks import models
from tests.models import tiny, tiny_text

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="tf.distribute needs TensorFlow")


@keras.saving.register_keras_serializable(package="kgen_tests")
class Comparing(PhasedModel):
    """Tells the images of a batch apart by all kinds of convolutions, both batch normalisations, and groups."""

    def __init__(self, seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.network = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                layers.SeparableConv2D(4, 3, strides=2, padding="same", use_bias=False),
                layers.BatchNormalization(momentum=0.9),
                layers.ReLU(),
                MinibatchStandardDeviation(),
                layers.Conv2DTranspose(5, 3, padding="same", use_bias=False),
                Modulation("batch", momentum=0.9),
                layers.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
                layers.Flatten(),
                layers.Dense(4),
            ]
        )
        self.built = True

    def phases(self):
        return [Phase("network", self.contrast, self.network.trainable_variables)]

    def contrast(self, batch, training):
        images = ops.cast(batch, "float32") / 127.5 - 1
        vectors = ops.normalize(self.network(images, training=training))
        return backend.on_whole_batch(contrast, {"vectors": vectors, "targets": images[:, 1, 1:5, 0]})


def contrast(tensors):
    logits = ops.matmul(tensors["vectors"], ops.transpose(tensors["targets"]))
    return losses.InfoNCE().loss(5.0 * logits)


def comparing():
    """Gradients are clipped by their common norm."""
    model = Comparing()
    model.compile(keras.optimizers.SGD(0.3, global_clipnorm=1.0))
    return model


# The last batch has fewer rows than there are replicas. Batches of 9 have no equal shares.
@pytest.mark.parametrize(
    "rows, batch_size, count",
    [(17, 8, 2), pytest.param(19, 9, 2, marks=pytest.mark.slow), pytest.param(21, 8, 4, marks=pytest.mark.slow)],
)
def test_shares_of_any_size(rows, batch_size, count):
    models.check_replicas(comparing, images(rows), batch_size, count=count)


def images(rows):
    return np.random.default_rng(0).integers(0, 256, (rows, 8, 8, 3)).astype("uint8")


# === Models ===
def with_dual_encoder(objective):
    model = tiny_text.dual_encoder(objective=objective)
    model.compile(keras.optimizers.SGD(0.1))
    return model


def info_nce():
    return with_dual_encoder("info_nce")


def sigmoid():
    return with_dual_encoder("sigmoid_contrastive")


@pytest.mark.slow
@pytest.mark.parametrize("make_model", [info_nce, sigmoid])
def test_captions_of_all_replicas_are_told_apart(make_model):
    pytest.importorskip("tensorflow_text")
    pictures, captions = tiny_text.pictures(17)
    pictures = pictures // 2 + np.random.default_rng(0).integers(0, 99, pictures.shape).astype("uint8")
    models.check_replicas(make_model, (pictures, captions))


def quiet(model, rates, **arguments):
    model.sampler.noise = lambda like, training: like[:, 1, 1:5, 0]
    model.compile({phase: keras.optimizers.SGD(rate) for phase, rate in rates.items()}, **arguments)
    if hasattr(model.objective, "posterior"):
        model.objective.posterior[True] = tiny.FixedPosterior(0.3)
    return model


def with_mmd():
    return quiet(tiny.vae(), {"autoencoder": 3e-4}, divergence="mmd", beta=1000.0)


def with_features():
    return quiet(tiny.gan(), {"discriminator": 0.05, "generator": 0.05}, feature_matching=1.0)


def with_mismatches():
    return quiet(tiny.vae_gan(tiny.CLASSES), {"discriminator": 0.3, "autoencoder": 3e-3})


@pytest.mark.slow
@pytest.mark.parametrize(
    "make_model, labelled, tolerance",
    # MMD is a small difference of large sums: by the processor, up to 1.2e-6.
    [(with_mmd, False, 3e-6), (with_features, False, 1e-6), (with_mismatches, True, 1e-6)],
)
def test_image_models(make_model, labelled, tolerance):
    data = (tiny.pictures(17), tiny.labels(17)) if labelled else tiny.pictures(17)
    models.check_replicas(make_model, data, tolerance=tolerance)
