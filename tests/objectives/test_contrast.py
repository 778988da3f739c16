import numpy as np
import pytest
from keras import ops

from tests.models import tiny_text

pytest.importorskip("tensorflow_text")


@pytest.mark.backends
@pytest.mark.parametrize("objective", ["info_nce", "sigmoid_contrastive"])
def test_equal_captions_are_no_contrast(objective):
    model = tiny_text.dual_encoder(objective=objective)
    captions = ["a red picture", "a blue picture", "a red picture"]
    features, tokens = model.text_encoder.encode(captions), model.text_encoder.tokenize(captions)
    same = np.array([[True, False, True], [False, True, False], [True, False, True]])
    images = np.random.default_rng(0).uniform(-1, 1, (3, *tiny_text.SHAPE)).astype("float32")
    expected = model.objective.loss(model.logits(images, features), same)
    learned = model.contrast.loss({"images": images, **features}, training=True)["loss"]
    for value in (learned, model.matching_loss(images, features), model.matching_loss(images, tokens)):
        np.testing.assert_allclose(ops.convert_to_numpy(value), ops.convert_to_numpy(expected), rtol=1e-5)


@pytest.mark.backends
def test_equal_captions_are_one_answer():
    """Of three images two have one caption: the second of them is judged by the first."""
    model = tiny_text.dual_encoder()
    features = model.text_encoder.encode(["a red picture", "a blue picture", "a red picture"])
    images = np.random.default_rng(0).uniform(-1, 1, (3, *tiny_text.SHAPE)).astype("float32")
    truth, said = map(ops.convert_to_numpy, model.contrast.judged({"images": images, **features}))
    assert truth.argmax(axis=1).tolist() == [0, 1, 0] and truth.sum() == 3
    np.testing.assert_allclose(said.sum(axis=1), 1.0, rtol=1e-5)
    shares = ops.convert_to_numpy(ops.softmax(model.logits(images, features), axis=-1))
    np.testing.assert_allclose(said[:, 0], shares[:, 0] + shares[:, 2], rtol=1e-4)
