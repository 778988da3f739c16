import keras
import numpy as np
import pytest

from kgen.networks import perceptron_discriminator, perceptron_generator
from tests.checks.layers import check_saved_model_equal
from tests.checks.networks import check_discriminator, check_generator


def test_the_shape_that_everybody_begins_with():
    generator, discriminator = perceptron_generator((28, 28, 1)), perceptron_discriminator((28, 28, 1))
    widths = [[layer.units for layer in each.layers if isinstance(layer, keras.layers.Dense)] for each in
              (generator, discriminator)]  # fmt: skip
    assert widths == [[256, 512, 1024, 784], [1024, 512, 256, 1]]
    assert generator.input_shape == (None, 100) and generator.output_shape == (None, 28, 28, 1)
    assert discriminator.input_shape == (None, 28, 28, 1) and discriminator.output_shape == (None, 1)
    assert [layer.rate for layer in discriminator.layers if isinstance(layer, keras.layers.Dropout)] == [0.3] * 3


@pytest.mark.backends
@pytest.mark.parametrize("pooled_dim", [None, 3])
def test_images_and_logits(tmp_path, pooled_dim):
    random = np.random.default_rng(0)
    generator = perceptron_generator((4, 6, 3), 5, pooled_dim, units=(8,))
    discriminator = perceptron_discriminator((4, 6, 3), pooled_dim, units=(8, 4))
    latents, images = random.normal(size=(2, 5)).astype("float32"), random.normal(size=(2, 4, 6, 3)).astype("float32")
    condition = {} if pooled_dim is None else {"pooled": np.eye(3, dtype="float32")[:2]}
    drawn = generator({"latents": 100 * latents, **condition} if condition else 100 * latents)
    drawn = keras.ops.convert_to_numpy(drawn)
    assert drawn.shape == (2, 4, 6, 3) and np.abs(drawn).max() <= 1.0 and np.abs(drawn).max() > 0.9
    judged = discriminator({"images": images, **condition} if condition else images)
    assert tuple(judged.shape) == (2, 1)
    if condition:
        other = discriminator({"images": images, "pooled": condition["pooled"][::-1].copy()})
        assert np.abs(keras.ops.convert_to_numpy(judged - other)).max() > 1e-4
    check_saved_model_equal(
        discriminator, {"images": images, **condition} if condition else images, tmp_path / "it.keras"
    )


@pytest.mark.backends
@pytest.mark.parametrize("condition", [{}, {"pooled_dim": 3}, {"num_classes": 3}])
def test_ends_are_those_of_every_network(condition):
    check_discriminator(perceptron_discriminator, (4, 6, 3), units=(8, 4), dropout=0.0, **condition)
    if "num_classes" not in condition:
        check_generator(perceptron_generator, (4, 6, 3), units=(8,), **condition)
