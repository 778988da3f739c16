import keras
import pytest

from kgen.layers import Modulation, SelfAttention2D
from kgen.networks import dcgan_discriminator, dcgan_generator
from tests.checks.networks import check_discriminator, check_generator


@pytest.mark.parametrize("pooled_dim", [None, 3])
def test_generator(pooled_dim):
    check_generator(
        dcgan_generator, image_shape=(8, 12, 3), pooled_dim=pooled_dim, filters=8, attention_resolutions=(4,)
    )


@pytest.mark.backends
@pytest.mark.parametrize("condition", [{}, {"pooled_dim": 3}, {"num_classes": 3}])
def test_discriminator(condition):
    check_discriminator(dcgan_discriminator, image_shape=(8, 12, 3), filters=8, attention_resolutions=(4,), **condition)


@pytest.mark.backends
def test_discriminator_with_the_papers_normalization():
    check_discriminator(dcgan_discriminator, image_shape=(16, 16, 1), filters=4, normalization="batch")


def test_grids_and_widths_mirror_each_other():
    generator, discriminator = dcgan_generator((28, 28, 1), 10, filters=64), dcgan_discriminator((28, 28, 1))
    grids = [layer.output.shape[1:] for layer in generator.layers if isinstance(layer, keras.layers.ReLU)]
    assert grids == [(7, 7, 64), (14, 14, 32), (28, 28, 32)]
    grids = [layer.output.shape[1:] for layer in discriminator.layers if isinstance(layer, keras.layers.LeakyReLU)]
    assert grids == [(14, 14, 256), (7, 7, 512)]
    assert discriminator.get_layer("features").output.shape == (None, 7 * 7 * 512)
    assert dcgan_generator((64, 48, 3), filters=(8, 7, 6), patch=2).output_shape == (None, 64, 48, 3)


def test_layers_are_where_they_were_asked_for():
    discriminator = dcgan_discriminator((32, 32, 3), filters=16, normalization="batch", attention_resolutions=(4, 16))
    assert [type(layer) for layer in discriminator.layers].count(SelfAttention2D) == 2
    normalized = [layer.name for layer in discriminator.layers if isinstance(layer, Modulation)]
    assert normalized == ["normalize_8", "normalize_4"]  # all but the first


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="dcgan_generator: 36x36 pixels cannot be reached"):
        dcgan_generator((36, 36, 3))
    with pytest.raises(ValueError, match="dcgan_generator: latent_dim must be an integer of at least 1; got 0"):
        dcgan_generator((32, 32, 3), 0)
    with pytest.raises(ValueError, match=r"no stage has attention_resolutions \[32\]; the stages have \[4, 8, 16\]"):
        dcgan_discriminator((32, 32, 3), attention_resolutions=(32,))
    with pytest.raises(ValueError, match="dcgan_discriminator: filters must be one number, or 3"):
        dcgan_discriminator((32, 32, 3), filters=(8, 8))
