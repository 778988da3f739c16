"""What is shipped of a training: the averaged weights, in float32, and all else as it was."""

import keras
import numpy as np
import pytest

from kgen.models import Autoencoder
from kgen.presets import averaged_copy
from tests.models import tiny, tiny_text
from tests.models.test_autoencoder import networks


def under(policy, make):
    """What `make` makes under a dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return make()
    finally:
        keras.config.set_dtype_policy(before)


def policies(model):
    return {layer.dtype_policy.name for layer in model._flatten_layers() if layer.dtype_policy.name != "int32"}


@pytest.mark.backends
def test_a_model_trained_in_bfloat16_is_shipped_in_float32(tmp_path):
    pytest.importorskip("tensorflow_text")
    encoder = tiny_text.text_encoder()
    model = under("mixed_bfloat16", lambda: tiny_text.model(text_encoder=encoder))
    model.compile()
    images, captions = tiny_text.pictures()
    model.fit(images / np.float32(255), captions, epochs=3, verbose=0)
    prompts = tiny_text.CAPTIONS
    wanted, weights = model.generate(prompts, seed=0), model.get_weights()
    copy = averaged_copy(model)
    assert policies(copy) == {"float32"} and "mixed_bfloat16" in policies(model)
    assert not copy.compiled and model.compiled
    assert copy.image_input.float_range == (0, 1)
    for trained, averaged in zip(copy.generator.get_weights(), model.average.network.get_weights(), strict=True):
        np.testing.assert_array_equal(trained, averaged)
    for now, before in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, before)
    # Of 255, by rounding to 8 bits.
    np.testing.assert_allclose(copy.generate(prompts, seed=0).astype(int), wanted, atol=6)
    sizes = []
    for name, each in (("trained", model), ("shipped", copy)):
        each.save_to_preset(tmp_path / name)
        sizes.append((tmp_path / name / "model.keras").stat().st_size)
    networks_size = 4 * sum(each.size for each in copy.generator.get_weights())
    assert sizes[0] - sizes[1] > 0.9 * networks_size
    shipped = type(model).from_preset(tmp_path / "shipped")
    np.testing.assert_array_equal(shipped.generate(prompts, seed=0), copy.generate(prompts, seed=0))


def test_each_network_gets_its_own_average():
    model = Autoencoder(*networks(), ema_momentum=0.9)
    model.compile()
    model.fit(tiny.pictures(), epochs=2, verbose=0)
    copy = averaged_copy(model)
    # Training it further soon shows.
    assert float(copy.average.updates) == float(copy.encoder_average.updates) == 1.0
    for network, average in ((copy.encoder, model.encoder_average), (copy.decoder, model.average)):
        for trained, averaged in zip(network.get_weights(), average.network.get_weights(), strict=True):
            np.testing.assert_array_equal(trained, averaged)


def test_a_learned_prior_comes_with_it():
    model = tiny.vae()
    model.compile()
    images = tiny.pictures()
    model.fit(images, epochs=1, verbose=0)
    model.fit_prior(images, components=2, verbose=0)
    np.testing.assert_allclose(averaged_copy(model).generate(4, seed=0).astype(int), model.generate(4, seed=0), atol=1)


def test_what_was_never_trained_is_as_it_is():
    model = tiny.gan()
    model.generator.set_weights([weight + 1 for weight in model.generator.get_weights()])
    for now, before in zip(averaged_copy(model).get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(now, before)


def test_another_policy_is_refused():
    with pytest.raises(ValueError, match="float99"):
        averaged_copy(tiny.gan(), "float99")
