import keras
import numpy as np
import pytest
from keras import layers

from kgen.losses import Charbonnier, PerceptualLoss
from kgen.metrics import FeatureExtractor, ReconstructionError
from tests.models.test_image_restorer import CLEAN, denoiser, discriminator


def test_measures_and_losses():
    model = denoiser(discriminator=discriminator())
    features = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3)], name="edges")
    model.compile(
        metrics=[ReconstructionError()],
        loss=Charbonnier(0.01),
        perceptual=PerceptualLoss(features),
        perceptual_weight=0.5,
        adversarial_loss="hinge",
        penalties=[],
    )
    logs = model.evaluate(CLEAN[:8], verbose=0, return_dict=True)
    assert {"pixels", "perceptual", "adversarial", "discriminator_accuracy", "psnr", "ssim"} <= set(logs)
    parts = sum(logs[name] for name in ("pixels", "perceptual", "adversarial"))
    np.testing.assert_allclose(logs["network_loss"], parts, rtol=1e-4)
    with pytest.warns(UserWarning, match=r"compile\(perceptual=...\) is not saved with ImageRestorer"):
        config = model.get_compile_config()
    assert "perceptual" not in config
    again = denoiser(discriminator=discriminator())
    again.compile_from_config(config)
    assert again.objective.likeness.pixel_loss.epsilon == 0.01
    assert type(again.objective.likeness.adversary.loss).__name__ == "Hinge"
    # An untrained network leaves images as they are: the noise is all the error.
    plain = denoiser()
    plain.compile(loss="l2")
    logs = plain.evaluate(CLEAN, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["loss"], (30 / 255) ** 2, rtol=0.15)
    np.testing.assert_allclose(logs["psnr"], -10 * np.log10(logs["loss"]), atol=0.3)


def test_a_perceptual_loss_by_extractor():
    images = keras.Input((16, 16, 3))
    edges = keras.Model(images, layers.Conv2D(4, 3)(images))
    model = denoiser()
    model.compile(perceptual=FeatureExtractor(edges, maps=edges))
    history = model.fit(CLEAN[:8], batch_size=8, verbose=0).history
    assert history["perceptual"][0] > 0
    assert len(model.phases()[0].variables) == len(model.network.trainable_variables)
