import numpy as np
import pytest
from keras import ops

from kgen.inference.classify import classifier_probabilities, named
from tests.models import tiny

PROBABILITIES = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]], "float32")


def test_without_top_they_are_the_probabilities():
    assert named("GAN.classify", PROBABILITIES, None, None) is PROBABILITIES
    assert named("GAN.classify", PROBABILITIES, ["a", "b", "c"], None) is PROBABILITIES


def test_the_most_probable_classes_by_name():
    found = named("GAN.classify", PROBABILITIES, ["cat", "dog", "bird"], 2)
    assert [[name for name, _ in row] for row in found] == [["dog", "bird"], ["cat", "bird"]]
    assert found[0] == [("dog", pytest.approx(0.5)), ("bird", pytest.approx(0.3))]
    assert all(type(probability) is float for row in found for _, probability in row)


def test_without_names_they_are_numbered_and_equals_keep_their_order():
    found = named("GAN.classify", PROBABILITIES, None, np.int64(3))
    assert [[name for name, _ in row] for row in found] == [["1", "2", "0"], ["0", "2", "1"]]


@pytest.mark.parametrize(
    "class_names, top, message",
    [
        (["cat", "dog"], None, "class_names must be 3 names, one for each class; got 2"),
        (["cat", "dog"], 1, "class_names must be 3 names, one for each class; got 2"),
        (None, 0, "top must be an integer from 1 to 3; got 0"),
        (None, 4, "top must be an integer from 1 to 3; got 4"),
        (None, True, "top must be an integer from 1 to 3; got True"),
    ],
)
def test_what_does_not_fit(class_names, top, message):
    with pytest.raises(ValueError, match=f"GAN.classify: {message}"):
        named("GAN.classify", PROBABILITIES, class_names, top)


@pytest.mark.backends
def test_the_discriminators_classifier_is_asked():
    gan = tiny.ac_gan()
    images, _ = tiny.bands(5)
    expected = gan.discriminator(ops.convert_to_tensor(images / np.float32(127.5) - 1), training=False)["labels"]
    expected = ops.convert_to_numpy(ops.softmax(expected))
    found = classifier_probabilities(gan, images, batch_size=2, verbose=0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(gan.classify(images, batch_size=2), found)
    best = gan.classify(images, ["left", "middle", "right"], top=1)
    assert [row[0][0] for row in best] == [["left", "middle", "right"][k] for k in found.argmax(axis=1)]


def test_a_model_without_a_classifier_says_so():
    with pytest.raises(ValueError, match=r"GAN.classify: the discriminator has no classifier. .* \['logits'\]"):
        tiny.gan().classify(tiny.pictures(1))
    with pytest.raises(ValueError, match="VAE.classify: this model was built without a discriminator"):
        classifier_probabilities(tiny.vae(), tiny.pictures(1), 64, 0)
