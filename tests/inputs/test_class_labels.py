import numpy as np
import pytest
from keras import ops

from kgen.inputs import ClassLabels
from kgen.inputs.class_labels import label_condition
from tests.models import tiny


def test_labels_make_a_condition_or_none():
    assert label_condition("GAN.decode", None, None, 3) == {}
    np.testing.assert_array_equal(label_condition("GAN.decode", 3, [2, 0], 2)["pooled"], np.eye(3)[[2, 0]])
    for num_classes, labels in ((None, [0, 1]), (3, None)):
        with pytest.raises(ValueError, match="GAN.decode: models with num_classes need labels, and others take none"):
            label_condition("GAN.decode", num_classes, labels, 2)
    for labels, message in (
        ([0, 3], r"must be in 0 \.\. 2; got 0 to 3"),
        ([0], "must be 2 integers, one for each image"),
        ([0.0, 1.0], "must be 2 integers, one for each image; got float64"),
    ):
        with pytest.raises(ValueError, match=f"GAN.decode: labels {message}"):
            label_condition("GAN.decode", 3, labels, 2)


def test_labels_in_a_list_are_an_array():
    assert ClassLabels(3).numbered("Model", [2, 0]).tolist() == [2, 0]
    gan = tiny.gan(num_classes=3)
    gan.compile()
    images, labels = tiny.pictures(8), [0, 1, 2, 0, 1, 2, 0, 1]
    gan.fit(images, labels, validation_data=(images, labels), verbose=0)
    assert set(gan.evaluate(images, labels, verbose=0, return_dict=True)) >= {"generator_loss"}


def test_labels_in_a_column_are_one_hot_too():
    labels = ClassLabels(3)
    for given in (np.array([2, 0]), np.array([[2], [0]])):
        labels.check("Model", given, (2, 8, 8))
        np.testing.assert_array_equal(ops.convert_to_numpy(labels.prepare(given)), np.eye(3)[[2, 0]])
