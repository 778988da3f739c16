import keras
import pytest

from kgen.networks.towers import check_towers, image_tower

SHAPE = (32, 32, 3)


def text_tower(pooled_dim=6, embedding_dim=4):
    pooled = keras.Input((pooled_dim,), name="pooled")
    return keras.Model(pooled, keras.layers.Dense(embedding_dim)(pooled))


@pytest.mark.parametrize("shape", [(16, 16, 3), SHAPE, (48, 64, 1), (100, 100, 3)])
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
