"""What `predict` does with data; `tests/models/test_every_image_model.py` asks every model's own method."""

import keras
import numpy as np
import pytest

from kgen.inference.predict import predict
from kgen.inputs import ClassLabels, ImageInput

SHAPE = (2, 3, 1)
SIGNED = np.linspace(-1, 1, 24, dtype="float32").reshape(4, *SHAPE)


def image_input(**targets):
    return ImageInput("Model", SHAPE, keras.Variable(0.0, trainable=False), targets)


def test_answers_are_joined_whatever_they_are():
    def method(images, verbose, value_range):
        return {"sums": images.sum(axis=(1, 2, 3)), "images": images}

    found = predict("Model.predict", method, image_input(), ((SIGNED[i : i + 2],) for i in (0, 2)), verbose=0)
    np.testing.assert_allclose(found["sums"], SIGNED.sum(axis=(1, 2, 3)))
    np.testing.assert_array_equal(found["images"], SIGNED)


def test_the_first_batch_shows_the_range_of_all():
    asked = []

    def method(images, verbose, value_range):
        asked.append(value_range)
        return images

    predict("Model.predict", method, image_input(), ((SIGNED[i : i + 2],) for i in (0, 2)), verbose=0)
    assert asked == [None, (-1, 1)]


def test_a_method_is_given_what_it_takes():
    def method(images, labels=None, batch_size=64, verbose="auto", value_range=None):
        return np.array([labels.sum(), batch_size, verbose])

    labels, taken = np.arange(4), image_input(labels=ClassLabels(4))
    for given in ((SIGNED, labels), {"images": SIGNED, "labels": labels}):
        assert predict("Model.predict", method, taken, given, batch_size=3, verbose=0).tolist() == [6, 3, 0]
    # As in `fit`, labels that come with images mean nothing to a model without classes.
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'sum'"):
        predict("Model.predict", method, image_input(), (SIGNED, labels))
    # Labels mean nothing to a method without them.
    predict("Model.predict", lambda images, value_range: images, image_input(), (SIGNED, labels))


def test_no_images():
    with pytest.raises(ValueError, match=r"^Model.predict: there are no images"):
        predict("Model.predict", lambda images, value_range: images, image_input(), iter(()))
