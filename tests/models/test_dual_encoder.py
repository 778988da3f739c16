import json

import keras
import numpy as np
import pytest
from keras import ops

from kgen.data import CaptionedImages
from kgen.metrics import FeatureExtractor, FrechetDistance, TextAlignment
from kgen.models import DualEncoder
from kgen.networks import TextProjection
from tests.checks import models as checks
from tests.models import tiny_text

pytest.importorskip("tensorflow_text")

NAMES = list(tiny_text.COLORS)


@pytest.fixture(scope="module")
def trained():
    """A model that knows the four colours."""
    keras.utils.set_random_seed(0)
    model = tiny_text.dual_encoder()
    model.compile(keras.optimizers.Adam(0.01))
    images, captions = tiny_text.pictures(16)
    history = model.fit(images, captions, batch_size=8, epochs=40, verbose=0)
    model.losses_seen = history.history["loss"]
    return model


# === Learning ===
@pytest.mark.backends
def test_it_learns_which_caption_is_whose(trained):
    images, captions = tiny_text.pictures(4)
    assert trained.losses_seen[-1] < 0.7 * trained.losses_seen[0]
    assert trained.trained and 0.01 <= trained.temperature < 1.0
    assert trained.classify(images, NAMES, template="a {} sheet of paper").argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert trained.caption(images, [each[0] for each in captions]) == [each[0] for each in captions]
    assert trained.retrieve("a blue picture", images, top=1)[0].tolist() == [2]
    logs = trained.evaluate(images, captions, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "matching_accuracy"} and logs["matching_accuracy"] == 1.0


@pytest.mark.backends
def test_vectors_have_length_one_whatever_the_batch(trained):
    images, _ = tiny_text.pictures(5)
    vectors = trained.encode_images(images)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(trained.encode_images(images, batch_size=2), vectors, atol=1e-6)
    np.testing.assert_allclose(trained.encode_images(images.astype("float32") / 127.5 - 1), vectors, atol=1e-5)
    texts = trained.encode_texts(["a red picture", "a blue picture", "a red  picture"])
    assert texts.shape == (3, 8) and np.array_equal(texts[0], texts[2])
    np.testing.assert_allclose(trained.encode_texts(["a blue picture"])[0], texts[1], atol=1e-5)


def test_a_bias_is_learned_where_the_objective_has_one(trained):
    assert len(trained.scale.trainable_variables) == 1
    model = tiny_text.dual_encoder(objective="sigmoid_contrastive")
    model.compile()
    before = [float(ops.convert_to_numpy(v)) for v in model.scale.trainable_variables]
    model.fit(*tiny_text.pictures(8), batch_size=4, verbose=0)
    after = [float(ops.convert_to_numpy(v)) for v in model.scale.trainable_variables]
    assert len(before) == 2 and before[1] == -10.0 and all(a != b for a, b in zip(before, after))


def test_a_trainable_encoder_learns_with_it():
    model = tiny_text.dual_encoder(trainable=True)
    model.compile()
    before = model.text_encoder.backbone.get_weights()
    model.fit(CaptionedImages(*tiny_text.pictures(4)), batch_size=4, verbose=0)
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.text_encoder.backbone.get_weights()))


def test_towers_by_default():
    model = DualEncoder(tiny_text.text_encoder(), (28, 28, 1), embedding_dim=16)
    assert isinstance(model.text_network, TextProjection) and not model.trained
    assert model.encode_images(np.zeros((1, 28, 28, 1), "uint8")).shape == (1, 16)
    assert model.encode_texts(["red"]).shape == (1, 16)


# === Measures ===
def test_it_measures_how_texts_and_images_fit(trained):
    images, captions = tiny_text.pictures(4)
    metric = TextAlignment(trained, among=4)
    metric.update_state([each[0] for each in captions], images)
    results = {key.removesuffix(f"_{trained.name}"): value for key, value in metric.result().items()}
    assert results["recall_at_1"] == 1.0
    cosines = np.diag(trained.similarity(images, [each[0] for each in captions]))
    np.testing.assert_allclose(results["cosine"], cosines.mean(), rtol=1e-4)
    # Its image tower alone is an extractor for every other measure.
    np.testing.assert_allclose(FeatureExtractor.of(trained).extract(images), trained.encode_images(images), atol=1e-5)


def test_metrics_of_keras_ask_which_caption_of_the_batch_is_an_images(trained):
    metrics = [keras.metrics.CategoricalAccuracy(name="right"), keras.metrics.TopKCategoricalAccuracy(2, name="top_2")]
    trained.compile(trained.optimizer, metrics=metrics)
    images, captions = tiny_text.pictures(4)
    swapped = [captions[i] for i in (0, 1, 3, 2)]
    logs = trained.evaluate(images, captions, verbose=0, return_dict=True)
    assert (logs["right"], logs["top_2"], logs["matching_accuracy"]) == (1.0, 1.0, 1.0)
    # Equal captions are each other's.
    twice = trained.evaluate(np.concatenate([images] * 2), captions * 2, verbose=0, return_dict=True)
    assert (twice["right"], twice["matching_accuracy"]) == (1.0, 1.0)
    assert trained.evaluate(images, swapped, verbose=0, return_dict=True)["right"] == 0.5
    trained.compile(trained.optimizer)


# === Bad input ===
@pytest.mark.parametrize(
    ("kwargs", "kind", "said"),
    [
        ({"embedding_dim": 0}, ValueError, "embedding_dim must be an integer of at least 1; got 0"),
        ({"objective": "triplet"}, ValueError, "unknown contrastive loss 'triplet'"),
        ({"embedding_dim": 9}, ValueError, r"give \(None, 9\); it takes \(None, 16\) and gives \(None, 8\)"),
        ({"image_network": 3}, TypeError, "image_network must be a keras.Model"),
        ({"image_network": "vit"}, ValueError, "unknown network 'vit'. Pass 'efficientnet_lite0'"),
    ],
)
def test_constructor(kwargs, kind, said):
    with pytest.raises(kind, match=said):
        tiny_text.dual_encoder(**kwargs)


def test_an_image_network_of_other_images():
    with pytest.raises(ValueError, match=r"takes \(16, 16, 3\) and gives \(None, 8\)"):
        DualEncoder(tiny_text.text_encoder(), (8, 8, 3), tiny_text.dual_encoder().image_network, embedding_dim=8)


def test_what_makes_no_sense_for_it(trained):
    with pytest.raises(TypeError, match="DualEncoder.compile: metrics must be Keras metrics of answers"):
        tiny_text.dual_encoder().compile(metrics=[FrechetDistance("pixels")])
    with pytest.raises(ValueError, match=r"DualEncoder.encode_images: images must have shape \(N, 16, 16, 3\)"):
        trained.encode_images(np.zeros((1, 8, 8, 3), "uint8"))
    with pytest.raises(ValueError, match="DualEncoder.encode_texts: caption 1 is empty"):
        trained.encode_texts(["red", " "])
    with pytest.raises(ValueError, match="DualEncoder: captions are missing"):
        trained.fit(tiny_text.pictures(4)[0])


# === State ===
def test_a_preset_is_the_whole_model(trained, tmp_path):
    trained.save_to_preset(tmp_path / "preset")
    loaded = DualEncoder.from_preset(tmp_path / "preset")
    images, _ = tiny_text.pictures(4)
    assert np.array_equal(loaded.encode_images(images), trained.encode_images(images))
    np.testing.assert_allclose(loaded.encode_texts(NAMES), trained.encode_texts(NAMES), atol=1e-5)
    assert loaded.temperature == trained.temperature and loaded.trained
    json.dumps(trained.get_config())


def test_exported_it_needs_no_keras(trained, tmp_path, tensorflow_backend):
    import tensorflow as tf

    trained.export(tmp_path / "exported")
    served = tf.saved_model.load(tmp_path / "exported").signatures["serving_default"]
    images, texts = tiny_text.pictures(3)[0], ["a red  picture", "a green sheet of paper"]
    outputs = served(images=tf.constant(images), texts=tf.constant(texts))
    np.testing.assert_allclose(outputs["cosines"], trained.similarity(images, texts), atol=1e-5)
    np.testing.assert_allclose(outputs["texts"], trained.encode_texts(texts), atol=1e-5)


@pytest.mark.slow
def test_training_resumes_to_the_bit(tmp_path):
    checks.check_resume(tiny_text.compiled_dual_encoder, tiny_text.pictures(16), tmp_path)


@pytest.mark.slow
def test_backends_agree():
    # Standards of nearly equal features magnify what backends round differently.
    data = tiny_text.pictures(16)
    checks.check_backends_agree(tiny_text.compiled_dual_encoder, data, batch_size=4, epochs=3, tolerance=1e-4)


@pytest.mark.slow
def test_evaluation_changes_nothing():
    checks.check_evaluation(tiny_text.compiled_dual_encoder, tiny_text.pictures(16))
