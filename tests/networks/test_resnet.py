import keras
import numpy as np
import pytest

from kgen.layers import ResidualBlock2D
from kgen.networks import resnet_discriminator, resnet_generator
from tests.checks.layers import outputs_of
from tests.checks.networks import check_discriminator, check_generator


@pytest.mark.parametrize("pooled_dim, patch", [(None, 1), (3, 2)])
def test_generator(pooled_dim, patch):
    shape = (8 * patch, 12 * patch, 3)
    check_generator(resnet_generator, shape, pooled_dim=pooled_dim, patch=patch, filters=8, attention_resolutions=(4,))


@pytest.mark.backends
@pytest.mark.parametrize("condition", [{"patch": 2}, {"pooled_dim": 3}, {"num_classes": 3}])
def test_discriminator(condition):
    side = 8 * condition.get("patch", 1)
    check_discriminator(resnet_discriminator, (side, side, 3), filters=8, attention_resolutions=(4,), **condition)


def test_grids_and_widths_mirror_each_other():
    generator, discriminator = resnet_generator((28, 28, 1), filters=64), resnet_discriminator((28, 28, 1), filters=64)
    blocks = [layer.output.shape[1:] for layer in generator.layers if isinstance(layer, ResidualBlock2D)]
    assert blocks == [(14, 14, 32), (28, 28, 32)]
    blocks = [layer.output.shape[1:] for layer in discriminator.layers if isinstance(layer, ResidualBlock2D)]
    assert blocks == [(28, 28, 32), (14, 14, 32), (7, 7, 64)]
    assert resnet_generator((64, 48, 3), filters=(8, 7), patch=4).output_shape == (None, 64, 48, 3)


def test_every_layer_is_spectrally_normalized_or_none():
    for flag in (True, False):
        model = resnet_discriminator((8, 8, 3), 3, filters=8, spectral_normalization=flag, attention_resolutions=(4,))
        names = [weight.name for weight in model.weights]
        assert names.count("kernel") == 9 and names.count("u") == 9 * flag


def test_condition_fits_by_projection():
    model = resnet_discriminator((8, 8, 3), 3, filters=8, spectral_normalization=False)
    x, y = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32"), np.eye(3, dtype="float32")[1:]
    (h,) = outputs_of(keras.Model(model.inputs, model.get_layer("features").output), [x, y])
    w, v = model.get_layer("logits"), model.get_layer("projection")
    w, v = keras.ops.convert_to_numpy(w.kernel), keras.ops.convert_to_numpy(v.kernel)
    expected = h @ w + np.sum((y @ v) * h, axis=1, keepdims=True)
    np.testing.assert_allclose(outputs_of(model, {"images": x, "pooled": y})[0], expected, rtol=1e-4, atol=1e-5)


def test_refuses_what_does_not_fit():
    with pytest.raises(
        ValueError, match="resnet_discriminator: 28x28 pixels cannot be reached .* The minimum is 32 pixels"
    ):
        resnet_discriminator((28, 28, 1), patch=8)
    with pytest.raises(ValueError, match="resnet_discriminator: filters must be one number, or 2"):
        resnet_discriminator((28, 28, 1), patch=2, filters=(8, 8, 8))
    with pytest.raises(ValueError, match=r"no stage has attention_resolutions \[16\]; the stages have \[4, 8\]"):
        resnet_generator((16, 16, 3), patch=2, attention_resolutions=(16,))
