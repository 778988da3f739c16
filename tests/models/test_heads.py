import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.losses import DiscretizedLogistic
from kgen.models import ClassificationHead, Head, ReconstructionHead, SegmentationHead
from tests.models import tiny

SHAPE = (5, 8, 8)


# === Classes ===
@pytest.mark.parametrize("head", [ClassificationHead, SegmentationHead])
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "give num_classes or class_names"),
        ({"num_classes": 3, "class_names": ["a", "b"]}, "class_names must be num_classes=3 names; got 2"),
        ({"num_classes": 1}, "num_classes must be an integer of at least 2; got 1"),
        ({"num_classes": True}, "num_classes must be an integer of at least 2; got True"),
        ({"class_names": ["a"]}, "class_names must be at least two different names"),
        ({"class_names": "ab"}, "class_names must be at least two different names"),
        ({"class_names": ["a", "b", "a"]}, "class_names must be at least two different names"),
    ],
)
def test_classes_that_cannot_be(head, arguments, message):
    with pytest.raises(ValueError, match=f"{head.__name__}: {message}"):
        head(**arguments)


def test_other_arguments_out_of_range():
    for arguments, message in (
        ({"dropout": 1.0}, "dropout must be in"),
        ({"label_smoothing": -0.1}, "label_smoothing"),
    ):
        with pytest.raises(ValueError, match=message):
            ClassificationHead(3, **arguments)
    with pytest.raises(ValueError, match="dice_weight must be a number of at least 0; got -1"):
        SegmentationHead(3, dice_weight=-1)
    with pytest.raises(ValueError, match="there may be 256 classes, numbered in uint8; got 257"):
        SegmentationHead(257)


@pytest.mark.parametrize(
    "head",
    [
        ClassificationHead(class_names=["a", "b"], dropout=0.3, label_smoothing=0.1),
        SegmentationHead(4, filters=8, dice_weight=0.5),
    ],
)
def test_config(head):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert type(again) is type(head) and vars(again) == vars(head)


def test_a_subclass_says_what_it_asks():
    for call in (lambda: Head().attach(None, {}, ""), lambda: Head().loss(None, None)):
        with pytest.raises(NotImplementedError, match="Head must define"):
            call()


# === Labels ===
def test_numbers_for_names():
    head = ClassificationHead(class_names=["cat", "dog"])
    for names in (["dog", "cat"], ("dog", "cat"), np.array(["dog", "cat"]), np.array(["dog", "cat"], object)):
        np.testing.assert_array_equal(head.numbered("Model", names), [1, 0])
    assert head.numbered("Model", [1, 0]).tolist() == [1, 0] and head.numbered("Model", None) is None
    with pytest.raises(ValueError, match="Model: there is no class 'cow'; there are 'cat', 'dog'"):
        head.numbered("Model", ["dog", "cow"])


@pytest.mark.parametrize(
    "labels, message",
    [
        (np.zeros(4, int), r"labels must be 5 integers, one for each image; got shape \(4,\)"),
        (np.zeros((5, 3), int), r"got shape \(5, 3\)"),
        (np.zeros(5), "labels must be integers; got float64"),
        (np.arange(5), "labels must be in -1 .. 2; got 0 to 4"),
        (np.full(5, -2), "labels must be in -1 .. 2; got -2 to -2"),
    ],
)
def test_wrong_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        ClassificationHead(3).check("Model", labels, SHAPE)


@pytest.mark.backends
def test_a_class_that_is_not_known_neither_teaches_nor_counts():
    head = ClassificationHead(3, label_smoothing=0.2)
    targets = head.prepare(ops.convert_to_tensor(np.int32([0, -1, 2])))
    np.testing.assert_array_equal(ops.convert_to_numpy(targets), [[1, 0, 0], [0, 0, 0], [0, 0, 1]])
    logits = np.float32([[3, 0, 0], [3, 0, 0], [3, 0, 0]])
    assert [value > 0 for value in ops.convert_to_numpy(head.loss(targets, logits)["loss"])] == [True, False, True]
    metric = head.metric()
    head.measure(metric, targets, logits)
    assert metric.name == "accuracy" and float(metric.result()) == 0.5
    np.testing.assert_allclose(ops.convert_to_numpy(head.answer(ops.convert_to_tensor(logits))).sum(axis=1), 1.0)


# === Masks ===
@pytest.mark.parametrize(
    "masks, message",
    [
        (np.zeros((5, 8, 4), "uint8"), r"masks must have shape \(5, 8, 8\), a number for each pixel; got \(5, 8, 4\)"),
        (np.zeros((5, 8, 8, 1), "uint8"), r"got \(5, 8, 8, 1\)"),
        (np.zeros(SHAPE), "masks must be integers; got float64"),
        (np.full(SHAPE, 3, "uint8"), "masks must be in 0 .. 2; got 3 to 3"),
        (np.full(SHAPE, -1), "masks must be in 0 .. 2; got -1 to -1"),
    ],
)
def test_wrong_masks(masks, message):
    with pytest.raises(ValueError, match=message):
        SegmentationHead(3).check("Model", masks, SHAPE)


@pytest.mark.backends
def test_mean_iou_by_hand():
    head = SegmentationHead(2, dice_weight=3.0)
    masks = np.uint8([[[0, 0], [1, 1]]])
    seen = np.uint8([[[0, 1], [1, 1]]])
    metric, targets = head.metric(), head.prepare(ops.convert_to_tensor(masks))
    logits = ops.convert_to_tensor(10 * np.eye(2, dtype="float32")[seen])
    head.measure(metric, targets, logits)
    np.testing.assert_allclose(float(metric.result()), (1 / 2 + 2 / 3) / 2, rtol=1e-6)
    answers = ops.convert_to_numpy(head.answer(logits))
    np.testing.assert_array_equal(answers, seen)
    assert answers.dtype == "uint8"
    parts = head.loss(targets, logits)
    assert set(parts) == set(head.terms)
    np.testing.assert_allclose(
        ops.convert_to_numpy(parts["dice"]), 3 * (1 - (3 / 4 + 5 / 6) / 2), rtol=1e-3, err_msg="2 of 1 + 2, 4 of 2 + 3"
    )


# === Images ===
@pytest.mark.backends
def test_reconstruction():
    decoder = tiny.decoder()
    head = ReconstructionHead(decoder)
    images, vector = keras.Input(tiny.SHAPE), keras.Input((6,))
    outputs = keras.Model([images, vector], head.attach(images, {"vector": vector}, "copy"))
    assert outputs.output.shape == (None, *tiny.SHAPE) and head.decoder is not decoder
    pixels = np.zeros((2, *tiny.SHAPE), "float32")
    # Gaussian(0.5) of pixels that are right.
    expected = pixels[0].size * np.log(0.5 * np.sqrt(2 * np.pi))
    values = ops.convert_to_numpy(head.loss(pixels, ops.convert_to_tensor(pixels))["loss"])
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    assert ops.convert_to_numpy(head.answer(ops.convert_to_tensor(pixels + 1.0))).min() == 255


def test_reconstruction_that_cannot_be():
    with pytest.raises(TypeError, match="ReconstructionHead: decoder must be a keras.Model; got Dense"):
        ReconstructionHead(layers.Dense(3))
    with pytest.raises(ValueError, match=r"from latents \(batch, n\) to images; .* goes from \(None, 8, 8, 3\)"):
        ReconstructionHead(tiny.encoder(4))
    images, vector = keras.Input(tiny.SHAPE), keras.Input((6,))
    with pytest.raises(ValueError, match=r"DiscretizedLogistic needs \(8, 8, 6\) for images of \(8, 8, 3\)"):
        ReconstructionHead(tiny.decoder(), "discretized_logistic").attach(images, {"vector": vector}, "copy")


def test_config_of_reconstruction():
    head = ReconstructionHead(tiny.network("latents", (4,), (8, 8, 6)), DiscretizedLogistic(-5.0))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert again.reconstruction.min_log_scale == -5.0 and again.decoder.output_shape == (None, 8, 8, 6)
