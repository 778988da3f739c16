import warnings

import keras
import numpy as np
import pytest
from keras import ops

from kgen.models import DualEncoder
from tests.models import tiny, tiny_text

pytest.importorskip("tensorflow_text")


@pytest.fixture(scope="module")
def encoder():
    """A dual encoder that knows the four colours."""
    keras.utils.set_random_seed(0)
    model = tiny_text.dual_encoder()
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(*tiny_text.pictures(16), batch_size=8, epochs=25, verbose=0)
    return model


def helped(encoder, kind="vae", weight=1.0, **kwargs):
    model = tiny_text.model(kind, text_encoder=encoder.text_encoder)
    model.compile(matching=encoder, matching_weight=weight, **kwargs)
    return model


@pytest.mark.backends
def test_the_generator_learns_what_fits_and_the_encoder_stays(encoder):
    model = helped(encoder, weight=100.0, optimizer=keras.optimizers.Adam(5e-3))
    images, captions = tiny_text.pictures(8)
    # Black images, so that nothing but the dual encoder says what belongs to a caption.
    images = np.zeros_like(images)
    before = tiny.weights(encoder)
    logs = [model.train_on_batch(images, captions, return_dict=True) for _ in range(25)]
    assert set(logs[0]) == {"loss", "reconstruction", "kl", "matching", "pixel_error", "active_units"}
    assert logs[-1]["matching"] < 0.9 * logs[0]["matching"]
    assert not tiny.moved(before, encoder)
    assert len(model.variables) == len(tiny_text.compiled().variables)


def test_its_term_is_the_objective_times_the_weight(encoder):
    images, captions = tiny_text.pictures(4)
    terms = []
    for weight in (1.0, 3.0):
        model = helped(encoder, weight=weight)
        model.sampler.generated = lambda like, condition, training: ops.zeros_like(like)
        terms.append(model.test_on_batch(images, captions, return_dict=True)["matching"])
    features = encoder.text_encoder.encode([each[0] for each in captions])
    expected = encoder.matching_loss(np.zeros((4, *tiny_text.SHAPE), "float32"), features)
    np.testing.assert_allclose(terms[0], ops.convert_to_numpy(expected).mean(), rtol=1e-4)
    np.testing.assert_allclose(terms[1], 3.0 * terms[0], rtol=1e-4)


def test_a_gan_has_it_beside_its_adversary(encoder):
    model = helped(encoder, "gan", penalties=[])
    logs = model.train_on_batch(*tiny_text.pictures(4), return_dict=True)
    assert {"generator_loss", "adversarial", "matching", "discriminator_loss"} <= set(logs)
    np.testing.assert_allclose(logs["adversarial"] + logs["matching"], logs["generator_loss"], rtol=1e-5)


def test_without_an_adversary_the_other_term_is_a_distance(encoder):
    model = tiny_text.model("imle", text_encoder=encoder.text_encoder, encoder=None, reconstruction=None)
    model.compile(samples=2, matching=encoder)
    logs = model.train_on_batch(*tiny_text.pictures(4), return_dict=True)
    assert {"distance", "matching"} < set(logs) and "adversarial" not in logs
    np.testing.assert_allclose(logs["distance"] + logs["matching"], logs["loss"], rtol=1e-5)


def test_a_saved_model_is_told_of_it_again(encoder, tmp_path):
    model = helped(encoder)
    model.train_on_batch(*tiny_text.pictures(4))
    with pytest.warns(
        UserWarning, match=r"compile\(matching=...\) is not saved with TextToImage. To continue training"
    ):
        model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.matching is None and loaded.compiled
    loaded.compile(loaded.optimizer, matching=encoder)
    logs = loaded.train_on_batch(*tiny_text.pictures(4), return_dict=True)
    assert "matching" in logs and int(loaded.optimizer.iterations) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny_text.compiled().get_compile_config()


@pytest.mark.parametrize(
    ("matching", "weight", "kind", "said"),
    [
        (keras.Sequential(), 1.0, TypeError, "matching must be a kgen.models.DualEncoder; got Sequential"),
        (None, 0.0, ValueError, "matching_weight must be positive; got 0.0"),
    ],
)
def test_refuses(encoder, matching, weight, kind, said):
    with pytest.raises(kind, match=said):
        helped(encoder).compile(matching=encoder if matching is None else matching, matching_weight=weight)


def test_refuses_another_text_encoder_and_other_images(encoder):
    trainable = tiny_text.model(trainable=True)
    with pytest.raises(ValueError, match="to have the same frozen text encoder"):
        trainable.compile(matching=encoder)
    model = helped(encoder)
    other = DualEncoder(encoder.text_encoder, (8, 8, 3), tiny.encoder(5), encoder.text_network, embedding_dim=8)
    with pytest.raises(ValueError, match=r"takes images of shape \(8, 8, 3\); this model makes \(16, 16, 3\)"):
        model.compile(matching=other)
