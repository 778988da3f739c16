import numpy as np
import pytest

from kgen.networks import restoration_network
from tests.checks.layers import check_saved_model_equal, outputs_of
from tests.checks.networks import check_precision, stir

IMAGES = np.random.default_rng(0).uniform(size=(3, 8, 12, 4)).astype("float32")


@pytest.mark.backends
@pytest.mark.parametrize("options", [{}, {"scale": 2}, {"scale": 4, "channels": 1}, {"masked": True}])
def test_restoration_network(options, tmp_path):
    def build():
        return restoration_network(filters=8, blocks=1, **options)

    network = build()
    channels, scale = options.get("channels", 3), options.get("scale", 1)
    images = IMAGES[..., : channels + options.get("masked", False)].copy()
    images[..., channels:] = 0.0
    assert network.output_shape == (None, None, None, channels)
    (begins,) = outputs_of(network, images)
    assert begins.shape == (3, 8 * scale, 12 * scale, channels)
    # It begins by adding nothing.
    np.testing.assert_allclose(begins.mean(axis=(1, 2)), images[..., :channels].mean(axis=(1, 2)), atol=0.02)
    if not options:
        np.testing.assert_array_equal(begins, images[..., :channels])
    stir(network)
    assert np.abs(outputs_of(network, images)[0] - begins).max() > 0.05
    check_saved_model_equal(network, images, tmp_path / "network.keras")
    check_precision(build, network, images)


@pytest.mark.backends
def test_any_size():
    network = restoration_network(filters=8, blocks=2)
    stir(network)
    (whole,) = outputs_of(network, np.tile(IMAGES[:1, ..., :3], (1, 6, 4, 1)))
    assert whole.shape == (1, 48, 48, 3)
    # Far from the border a part of an image gives what the whole gives.
    (part,) = outputs_of(network, np.tile(IMAGES[:1, ..., :3], (1, 6, 4, 1))[:, :40, :40])
    np.testing.assert_allclose(part[:, 8:24, 8:24], whole[:, 8:24, 8:24], atol=1e-4)
