import numpy as np
import pytest

from kgen.models import GAN, VAE
from kgen.models.text_conditioned import generative_model_for_text


@pytest.mark.parametrize(("kind", "cls"), [("vae", VAE), ("vae_gan", VAE), ("gan", GAN)])
def test_kinds(kind, cls):
    model = generative_model_for_text(kind, (32, 32, 3), 16, 16, latent_dim=4, condition_dim=16)
    assert isinstance(model, cls)
    assert (getattr(model, "discriminator", None) is not None) == (kind != "vae")
    condition = {
        "pooled": np.zeros((2, 16), "float32"),
        "tokens": np.zeros((2, 3, 16), "float32"),
        "mask": np.ones((2, 3), bool),
    }
    assert model.synthesize(np.zeros((2, 4), "float32"), condition).shape == (2, 32, 32, 3)


@pytest.mark.parametrize("side", [32, 64, 128, 256])
def test_sizes(side):
    model = generative_model_for_text("vae", (side, side, 3), 16, 16, latent_dim=4, condition_dim=16)
    assert model.image_shape == (side, side, 3)


def test_unknown_kind():
    with pytest.raises(ValueError, match="got 'diffusion'"):
        generative_model_for_text("diffusion", (32, 32, 3), 16, 16, 4)
