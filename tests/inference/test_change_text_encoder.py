import pickle

import keras
import numpy as np
import pytest
from keras import ops

from kgen.models import TextToImage
from kgen.text import TextEncoder, encoder_from_captions
from tests.models import tiny_text

pytestmark = pytest.mark.backends
pytest.importorskip("tensorflow_text")


@pytest.fixture(scope="module")
def trained(trained_text_to_image):
    return keras.saving.load_model(trained_text_to_image)


# === Another text encoder ===
def test_another_encoder_of_the_same_features_draws_the_same(trained):
    encoder = trained.text_encoder
    other = trained.with_text_encoder(TextEncoder(encoder.backbone, encoder.preprocessor))
    assert other.text_encoder is not encoder
    assert other.generator is not trained.generator
    found = other.generate(["a red picture", "a blue picture"], seed=0)
    assert np.abs(found.astype(int) - trained.generate(["a red picture", "a blue picture"], seed=0)).max() <= 1


def test_another_encoder_of_another_length_is_refused(trained):
    encoder = trained.text_encoder
    longer = TextEncoder(encoder.backbone, encoder.preprocessor, projection_dim=encoder.pooled_dim + 1)
    with pytest.raises(ValueError, match=rf"reads 'pooled' of length {encoder.pooled_dim}; this text encoder gives"):
        trained.with_text_encoder(longer)


# === A larger text encoder beside a preset's own ===
@pytest.fixture
def preset(trained, tmp_path):
    trained.save_to_preset(tmp_path / "preset", latin_text_encoder="a_large_one")
    return tmp_path / "preset"


def installed(monkeypatch, encoder):
    """Lets the named encoder be installed."""
    found = {"a_large_one": encoder}
    monkeypatch.setattr("kgen.inference.change_text_encoder.installed_model", found.get)


@pytest.fixture
def by_script(preset, monkeypatch):
    """A model that two encoders read for, and that remembers two captions; its own encoder alone."""
    larger = encoder_from_captions(tiny_text.CAPTIONS, width=16, num_layers=1, num_heads=2, sequence_length=8, seed=1)
    larger.trainable = False
    own = TextToImage.from_preset(preset)
    own.remember(["a red picture", "蓝色"])
    own.save_to_preset(preset, latin_text_encoder="a_large_one")
    installed(monkeypatch, larger)
    return TextToImage.from_preset(preset, text_encoder="auto"), TextToImage.from_preset(preset), larger


def test_the_larger_text_encoder_reads_latin_script_where_that_is_asked_for(by_script):
    model, own, larger = by_script
    # Each encoder has read its own names.
    expected = [larger.encode(["a red picture"])["pooled"][0], own.text_encoder.encode(["蓝色"])["pooled"][0]]
    np.testing.assert_allclose(ops.convert_to_numpy(model.memory.known), expected, atol=1e-5)
    assert model.memory.names == own.memory.names == ["a red picture", "蓝色"]
    assert np.abs(ops.convert_to_numpy(own.memory.known)[0] - expected[0]).max() > 0.01
    # Without being asked for it is not used.
    assert type(own.text_encoder) is TextEncoder


def test_a_model_that_two_encoders_read_for_is_saved_with_both(by_script, tmp_path):
    model, own, _ = by_script
    prompts = ["a reddish sheet", "红色", "a 红"]
    model.remember(None)
    encoder = model.text_encoder
    pooled = ops.convert_to_numpy(encoder(encoder.tokenize(prompts))["pooled"])
    np.testing.assert_allclose(pooled, encoder.encode(prompts)["pooled"], atol=1e-5)
    expected = model.generate(prompts, seed=3).astype(int)
    own.remember(None)
    assert np.abs(own.generate(prompts[0], seed=3) - expected[0]).max() > 1
    model.save(tmp_path / "model.keras")
    model.save_to_preset(tmp_path / "kept")
    for other in (
        keras.saving.load_model(tmp_path / "model.keras"),
        TextToImage.from_preset(tmp_path / "kept"),
        pickle.loads(pickle.dumps(model)),
    ):
        np.testing.assert_allclose(other.generate(prompts, seed=3), expected, atol=1)


def test_a_saved_model_reads_by_both(by_script, tmp_path, tensorflow_backend):
    import tensorflow as tf

    model, _, _ = by_script
    prompts = ["a reddish sheet", "红色", "a 红"]
    model.export(tmp_path / "saved")
    serve = tf.saved_model.load(tmp_path / "saved").signatures["serving_default"]
    served = serve(prompts=tf.constant(prompts), seeds=tf.range(3))["images"].numpy()
    np.testing.assert_allclose(served.astype(int), model.generate(prompts, seed=range(3)), atol=1)


def test_where_the_larger_text_encoder_is_missing_the_own_one_reads_all(trained, preset, monkeypatch):
    installed(monkeypatch, None)
    drawn = TextToImage.from_preset(preset, text_encoder="auto").generate("a red picture", seed=0)
    np.testing.assert_allclose(drawn.astype(int), trained.generate("a red picture", seed=0), atol=1)


def test_a_larger_text_encoder_that_cannot_be_loaded_is_warned_of(trained, preset, monkeypatch):
    def without_safetensors(*encoders):
        raise ImportError("pip install safetensors")

    installed(monkeypatch, trained.text_encoder)
    monkeypatch.setattr("kgen.inference.change_text_encoder.EncoderByScript", without_safetensors)
    with pytest.warns(UserWarning, match="the preset's own text encoder is used instead. pip install safetensors"):
        model = TextToImage.from_preset(preset, text_encoder="auto")
    drawn = model.generate("a red picture", seed=0)
    np.testing.assert_allclose(drawn.astype(int), trained.generate("a red picture", seed=0), atol=1)


def test_a_preset_takes_no_other_text_encoder(preset):
    with pytest.raises(ValueError, match="text_encoder must be 'auto' or 'own'; got 'bert'.*with_text_encoder"):
        TextToImage.from_preset(preset, text_encoder="bert")
