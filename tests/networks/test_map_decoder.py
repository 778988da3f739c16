import keras
import numpy as np
import pytest
from keras import layers

from kgen.networks import MultiscaleEncoder, backbone_encoder, map_decoder


def decoder(patch, channels=3, size=(16, 16), filters=4):
    encoder = backbone_encoder(MultiscaleEncoder((*size, 1), 2, filters=8, patch=patch, feature_dim=4), ("maps",))
    images = keras.Input((*size, 1))
    return keras.Model(images, map_decoder(images, encoder(images)["maps"], channels, filters, name="masks"))


@pytest.mark.backends
@pytest.mark.parametrize("patch, size", [(1, (16, 16)), (2, (16, 32)), (4, (16, 16))])
def test_as_many_numbers_a_pixel_as_asked_for(patch, size):
    network = decoder(patch, size=size)
    outputs = network(np.random.default_rng(0).normal(size=(2, *size, 1)).astype("float32"))
    assert outputs.shape == (2, *size, 3)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    assert keras.ops.convert_to_numpy(outputs).std() > 0


def test_blocks_are_wider_where_the_grid_is_coarser():
    network = decoder(patch=2)
    assert [network.get_layer(f"masks_block_{side}").filters for side in (8, 16)] == [8, 4]


def test_every_map_is_read():
    images = keras.Input((8, 8, 1))
    maps = [keras.Input((side, side, 2)) for side in (8, 4, 2)]
    network = keras.Model([images, *maps], map_decoder(images, maps, 2, filters=4))
    inputs = [np.random.default_rng(0).normal(size=(1, *each.shape[1:])).astype("float32") for each in network.inputs]
    before = keras.ops.convert_to_numpy(network(inputs))
    for i in range(1, 4):
        changed = [each + 1 if i == j else each for j, each in enumerate(inputs)]
        assert np.abs(keras.ops.convert_to_numpy(network(changed)) - before).max() > 1e-4


def test_a_grid_that_is_not_a_whole_number_of_times_as_fine():
    images = keras.Input((12, 12, 1))
    maps = [layers.Conv2D(2, 2, 2)(images), layers.Conv2D(2, 3, 3)(images)]
    with pytest.raises(ValueError, match="map_decoder: a map of 4x4 cannot be enlarged to the next, 6x6, by a whole"):
        map_decoder(images, maps, 2)
