import keras
import numpy as np
import pytest

from kgen.layers import GroupedConvolution2D
from kgen.networks import r3gan_discriminator, r3gan_generator
from tests.checks.layers import outputs_of
from tests.checks.networks import check_discriminator, check_generator


@pytest.mark.parametrize("pooled_dim, patch", [(None, 1), (3, 2)])
def test_generator(pooled_dim, patch):
    check_generator(
        r3gan_generator,
        (8 * patch, 12 * patch, 3),
        pooled_dim=pooled_dim,
        patch=patch,
        filters=(8, 4),
        group_width=4,
        attention_resolutions=(4,) if patch == 1 else (),
    )


@pytest.mark.backends
@pytest.mark.parametrize("condition", [{"patch": 2}, {"pooled_dim": 3}, {"num_classes": 3}])
def test_discriminator(condition):
    side = 8 * condition.get("patch", 1)
    attention = (4,) if "pooled_dim" in condition else ()
    check_discriminator(
        r3gan_discriminator,
        (side, side, 3),
        filters=(8, 4),
        group_width=8,
        attention_resolutions=attention,
        **condition,
    )


def test_blocks_are_inverted_bottlenecks_in_groups():
    for network in (r3gan_generator, r3gan_discriminator):
        model = network((28, 28, 1), filters=64, blocks=(2, 1, 0))
        groups = [layer for layer in model.layers if isinstance(layer, GroupedConvolution2D)]
        assert sorted((layer.input.shape[1], layer.filters, layer.groups) for layer in groups) == [
            (7, 128, 8), (7, 128, 8), (14, 64, 4)
        ]  # fmt: skip


def test_blocks_begin_as_the_identity_and_signals_keep_their_size():
    model = r3gan_discriminator((32, 32, 3), filters=64, blocks=2)
    inner = ("reduce_16", "block_8_2", "block_8_1_leaky_relu_2")
    x = np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype("float32")
    before, after, hidden = outputs_of(keras.Model(model.input, [model.get_layer(name).output for name in inner]), x)
    np.testing.assert_array_equal(after, before)
    # Two layers, each scaled by blocks^(-1 / 4), so that 8 blocks together are worth one.
    assert 0.5 < 8 * np.mean(hidden**2) / np.mean(before**2) < 2.0


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"r3gan_generator: group_width must divide twice the channels \[8\]; got 5"):
        r3gan_generator((4, 4, 1), filters=8, group_width=5)
    with pytest.raises(ValueError, match="r3gan_discriminator: blocks must be one number, or 3"):
        r3gan_discriminator((28, 28, 1), blocks=(1, 1))
