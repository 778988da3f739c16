import keras
import numpy as np
import pytest
from keras import ops

from kgen.layers import AdaptiveAugment, DiffAugment
from tests.checks.layers import check_layer


@pytest.mark.backends
def test_layer():
    inputs = {"images": (3, 8, 8, 3)}
    arguments = {"policy": ("cutout",), "target": 0.5, "images": 1000}
    check_layer(AdaptiveAugment, arguments, inputs, (3, 8, 8, 3), call_kwargs={"training": True}, stochastic=True)


@pytest.mark.backends
def test_changes_images_as_diff_augment_does():
    images = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)).astype("float32")
    changed = [
        ops.convert_to_numpy(layer(images, probability=0.5, training=True))
        for layer in (AdaptiveAugment(seed=3), DiffAugment(seed=3))
    ]
    np.testing.assert_array_equal(*changed)


def test_config_and_arguments():
    layer = AdaptiveAugment(("color",), strength=0.5, seed=1)
    assert (layer.target, layer.images) == (0.6, 500_000)
    config = AdaptiveAugment("color", 0.5, target=0.7, images=2000).get_config()
    again = AdaptiveAugment.from_config(config)
    assert (again.policy, again.strength, again.target, again.images) == (("color",), 0.5, 0.7, 2000)
    assert type(keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))) is AdaptiveAugment
    for target in (0.0, 1, -0.5):
        with pytest.raises(ValueError, match="AdaptiveAugment: target must be between 0 and 1; got"):
            AdaptiveAugment(target=target)
    for images in (0, -1, True):
        with pytest.raises(ValueError, match="AdaptiveAugment: images must be a number of at least 1; got"):
            AdaptiveAugment(images=images)
