import keras
import numpy as np
import pytest
from keras import ops

from kgen.inputs import ClassLabels, ImageInput
from tests.models import tiny

SHAPE = (2, 3, 1)


def image_input(**targets):
    return ImageInput("Model", SHAPE, keras.Variable(0.0, trainable=False), targets)


def floats(low, high, count=4):
    return np.linspace(low, high, count * 6, dtype="float32").reshape(count, *SHAPE)


def array(tensor):
    return ops.convert_to_numpy(tensor)


# === Ranges ===
def test_the_range_is_in_the_variable():
    made = image_input()
    assert made.float_range is None
    for value in ((0, 1), (-1, 1), None):
        made.float_range = value
        again = ImageInput("Model", SHAPE, made.float_scale)
        assert again.float_range == value


@pytest.mark.backends
@pytest.mark.parametrize("trained", [None, (0, 1), (-1, 1)])
def test_who_asks_means_the_range_that_was_trained_on(trained):
    made = image_input()
    made.float_range = trained
    assert made.range_of(floats(0, 1)) == (trained or (0, 1))
    assert made.range_of(floats(-1, 1)) == (-1, 1)
    assert made.range_of(np.zeros((1, *SHAPE), "uint8")) == (0, 255)
    inside = made.images(floats(0, 1))[1:3]
    np.testing.assert_allclose(
        inside, floats(0, 1)[1:3] if trained == (-1, 1) else 2 * floats(0, 1)[1:3] - 1, atol=1e-6
    )
    assert made.float_range == trained
    with pytest.raises(ValueError, match=r"GAN.encode: images must have shape \(N, 2, 3, 1\); got \(2, 3, 1\)"):
        made.images(floats(0, 1)[0], "GAN.encode")
    assert made.range_of(np.zeros((1, 5, 5, 3), "uint8"), shape=(None, None, 3)) == (0, 255)


@pytest.mark.backends
def test_batches_are_in_the_range_of_training():
    made = image_input()
    for images, expected in ((floats(0, 1), 2 * floats(0, 1) - 1), (floats(-1, 1), floats(-1, 1))):
        made.for_training(images, None, None, None, True)
        np.testing.assert_allclose(array(made.batch(ops.convert_to_tensor(images))["images"]), expected, atol=1e-6)
    levels = np.arange(24, dtype="uint8").reshape(4, *SHAPE)
    made.for_training(levels, None, None, None, True)
    assert made.float_range == (-1, 1)
    np.testing.assert_allclose(array(made.to_network(ops.convert_to_tensor(levels))), levels / 127.5 - 1, atol=1e-6)


def test_the_range_of_an_evaluation_is_not_kept():
    made = image_input()
    with made.range_kept():
        made.for_evaluation(floats(-1, 1), None, None)
        assert made.float_range == (-1, 1)
    assert made.float_range is None
    made.float_range = (0, 1)
    with pytest.raises(ValueError, match="empty"), made.range_kept():
        made.for_evaluation(floats(-1, 1), None, None)
        made.for_evaluation(floats(-1, 1)[:0], None, None)
    assert made.float_range == (0, 1)


def test_an_evaluation_does_not_change_what_may_be_trained_on():
    made = image_input()
    with made.range_kept():
        made.for_evaluation((images for images in [floats(0, 1)]), None, None)
        assert made.only_uint8
    assert not made.only_uint8


# === Answers ===
@pytest.mark.backends
def test_answers_come_beside_images_or_in_a_dict():
    made = image_input(labels=ClassLabels(3))
    images, labels = ops.convert_to_tensor(floats(-1, 1)), ops.convert_to_tensor([2, 0, 1, 1])
    made.float_range = (-1, 1)
    for x, y in ((images, labels), ({"images": images, "labels": labels}, None), (images, {"labels": labels})):
        batch = made.batch(x, y)
        assert set(batch) == {"images", "pooled"}
        np.testing.assert_array_equal(array(batch["pooled"]), np.eye(3)[[2, 0, 1, 1]])
    given = {"images": images, "pooled": ops.ones((4, 5)), "strange": labels}
    assert set(image_input().batch(given)) == {"images", "pooled"}


def test_missing_answers():
    one = image_input(labels=ClassLabels(3))
    with pytest.raises(ValueError, match=r"^Model: labels must be given; call fit\(images, labels\), or"):
        one.for_training(floats(0, 1), None, None, None, True)
    with pytest.raises(ValueError, match=r"Model: labels must be given; call fit\(images, labels\), or"):
        one.for_training(floats(0, 1), [0, 1, 2, 0], (floats(0, 1), None), None, True)
    two = image_input(labels=ClassLabels(3), colours=ClassLabels(2))
    with pytest.raises(ValueError, match=r"colours must be given; call fit\(images, {'colours': ...}\)"):
        two.for_training(floats(0, 1), {"labels": np.zeros(4, int)}, None, None, True)


def test_labels_that_are_ignored_are_told_of():
    made, labels = image_input(), np.zeros(4, int)
    for x, y in ((floats(0, 1), labels), ({"images": floats(0, 1), "labels": labels}, None)):
        for method, options in ((made.for_training, (None, None, True)), (made.for_evaluation, (None,))):
            with pytest.warns(UserWarning, match="^Model: labels are ignored: .* Build the model with num_classes"):
                method(x, y, *options)
    with pytest.warns(UserWarning, match="^Model: labels are ignored"):
        made.for_training(floats(0, 1), None, (floats(0, 1), labels), None, True)


# === What a training holds ===
def test_validation_is_known_again_until_the_end():
    made, images, other = image_input(), floats(0, 1), floats(0, 1, 2)
    made.for_training(images, None, (other,), 2, False)
    assert made.is_validation(other) and not made.is_validation(images) and not made.is_validation(None)
    made.end()
    assert not made.is_validation(other)


def test_data_in_batches_without_answers_are_told_so():
    made = image_input(labels=ClassLabels(3))
    with pytest.raises(ValueError, match="Model: labels must be given; call .* or include them in each batch of data"):
        made.batch(np.zeros((2, *SHAPE), "uint8"))


def test_a_generator_without_labels():
    model = tiny.gan(num_classes=tiny.CLASSES)
    model.compile()
    images = tiny.pictures()[:4]
    with pytest.raises(ValueError, match="GAN: labels must be given"):
        model.fit(((images,) for _ in range(2)), epochs=1, steps_per_epoch=2, verbose=0)
