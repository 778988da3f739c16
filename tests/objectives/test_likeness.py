from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.ops import convert_to_tensor as tensor

from kgen.losses import Hinge, PerceptualLoss
from kgen.objectives import Likeness
from tests.models import tiny

RANDOM = np.random.default_rng(0)
IMAGES, MADE = (RANDOM.uniform(-1, 1, (4, *tiny.SHAPE)).astype("float32") for _ in range(2))


def attached(likeness, discriminator=None):
    model = SimpleNamespace(
        discriminator=discriminator, average=SimpleNamespace(updates=0), seeds=lambda training: None
    )
    likeness.attach(model)
    return likeness


def array(parts):
    return {name: ops.convert_to_numpy(ops.stop_gradient(value)) for name, value in parts.items()}


@pytest.mark.backends
def test_pixels_and_psnr_by_hand():
    likeness = attached(Likeness())
    parts = array(likeness.parts(tensor(IMAGES), tensor(1.5 * MADE), training=True))
    assert likeness.terms == ("pixels",) and set(parts) == {"pixels", "psnr"}
    # Pixels from 0 to 1; PSNR is of what can be shown.
    np.testing.assert_allclose(parts["pixels"], np.abs(IMAGES - 1.5 * MADE).mean(axis=(1, 2, 3)) / 2, rtol=1e-5)
    errors = np.square(IMAGES - np.clip(1.5 * MADE, -1, 1)).mean(axis=(1, 2, 3)) / 4
    np.testing.assert_allclose(parts["psnr"], -10 * np.log10(errors), rtol=1e-4)


def test_images_of_any_number_of_channels():
    four = tensor(RANDOM.uniform(-1, 1, (2, 8, 8, 4)).astype("float32"))
    parts = array(attached(Likeness()).parts(four, 0.5 * four, training=True))
    errors = np.square(0.5 * ops.convert_to_numpy(four)).mean(axis=(1, 2, 3)) / 4
    np.testing.assert_allclose(parts["psnr"], -10 * np.log10(errors), rtol=1e-4)


@pytest.mark.backends
def test_each_part_that_is_asked_for():
    discriminator = tiny.encoder(1)
    features = keras.Sequential([keras.Input(tiny.SHAPE), layers.Conv2D(2, 3)])
    perceptual = PerceptualLoss(features)
    likeness = attached(Likeness("l2", perceptual, 0.5, "hinge", [], 0.25), discriminator)
    assert likeness.terms == ("pixels", "perceptual", "adversarial")
    parts = array(likeness.parts(tensor(IMAGES), tensor(MADE), training=False))
    distance = ops.convert_to_numpy(ops.stop_gradient(perceptual.loss(0.5 * IMAGES + 0.5, 0.5 * MADE + 0.5)))
    np.testing.assert_allclose(parts["perceptual"], 0.5 * distance, rtol=1e-4)
    logits = ops.convert_to_numpy(ops.stop_gradient(discriminator(MADE)))[:, 0]
    np.testing.assert_allclose(parts["adversarial"], -0.25 * logits, rtol=1e-5)
    judged = array(likeness.discriminator_loss(tensor(IMAGES), tensor(MADE), training=False))
    real = ops.convert_to_numpy(ops.stop_gradient(discriminator(IMAGES)))[:, 0]
    np.testing.assert_allclose(judged["loss"], np.maximum(0, 1 - real) + np.maximum(0, 1 + logits), rtol=1e-5)
    assert isinstance(likeness.adversary.loss, Hinge)


def test_what_does_not_fit():
    with pytest.raises(
        ValueError, match="SimpleNamespace.compile: adversarial_loss and penalties need a discriminator"
    ):
        attached(Likeness(penalties="r1"))
    with pytest.raises(ValueError, match="SimpleNamespace.compile: adversarial_weight must be a number of at least 0"):
        attached(Likeness(adversarial_weight=-1))
    with pytest.raises(ValueError, match="pixel loss"):
        attached(Likeness("l7"))
