import numpy as np
import pytest
from keras import ops

from kgen.objectives import Likeness, PerceptualCompression
from tests.models.test_autoencoder import IMAGES, autoencoder

SCALED = IMAGES[:8] / 127.5 - 1.0


def test_the_loss_by_hand():
    model = autoencoder()
    model.compile(loss="l2", kl_weight=0.01)
    logs = model.evaluate(IMAGES[:8], batch_size=8, verbose=0, return_dict=True)
    means, log_variances = np.split(ops.convert_to_numpy(model.encoder(SCALED)), 2, axis=-1)
    made = ops.convert_to_numpy(model.decoder(means))
    np.testing.assert_allclose(logs["pixels"], np.mean((made - SCALED) ** 2) / 4, rtol=1e-5)
    each = 0.5 * (means**2 + np.exp(log_variances) - log_variances - 1.0)
    np.testing.assert_allclose(logs["kl"], 0.01 * np.mean(each), rtol=1e-4)
    np.testing.assert_allclose(logs["loss"], logs["pixels"] + logs["kl"], rtol=1e-5)


@pytest.mark.backends
def test_latents_are_drawn_in_training_alone():
    model = autoencoder()
    images = ops.convert_to_tensor(SCALED.astype("float32"))

    def made(training):
        return ops.convert_to_numpy(ops.stop_gradient(model.objective.attempt(images, training)[0]))

    np.testing.assert_array_equal(made(False), made(False))
    # Of a variance near 1, with which an encoder begins.
    assert np.abs(made(True) - made(True)).mean() > 0.1 and np.abs(made(True) - made(False)).mean() > 0.1


def test_evaluation_is_of_the_averaged_networks():
    model = autoencoder()
    model.compile()
    before = model.evaluate(IMAGES, verbose=0)
    model.encoder.set_weights([0 * weight for weight in model.encoder.get_weights()])
    model.decoder.set_weights([0 * weight for weight in model.decoder.get_weights()])
    assert model.evaluate(IMAGES, verbose=0) == before


def test_an_encoder_without_variances_has_no_divergence():
    model = autoencoder(gaussian=False)
    model.compile()
    (phase,) = model.phases()
    assert phase.terms == () and model.objective.attempt(SCALED, training=True)[1] is None
    assert set(model.evaluate(IMAGES, verbose=0, return_dict=True)) == {"loss", "psnr"}


def test_arguments():
    objective = PerceptualCompression(Likeness("l2"), 0.5)
    again = PerceptualCompression.from_config(objective.get_config())
    assert again.likeness.loss == "l2" and again.kl_weight == 0.5
    with pytest.raises(ValueError, match="Autoencoder.compile: kl_weight must be a number of at least 0; got -1"):
        autoencoder().compile(kl_weight=-1)
    with pytest.raises(TypeError, match="Autoencoder.compile: beta has no meaning"):
        autoencoder().compile(beta=1)
