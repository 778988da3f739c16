import numpy as np
import pytest

from kgen.data import CaptionedImages
from kgen.inference.shared_space import SharedSpace

COLORS = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0)}


class Colors:
    """Images by their mean colour, texts by the colours that they name."""

    embedding_dim = 3
    temperature = 0.5

    def encode_images(self, images, batch_size, verbose):
        return unit(np.asarray(images, "float32").mean(axis=(1, 2)))

    def encode_texts(self, texts, batch_size, verbose):
        return unit([np.sum([COLORS[word] for word in text.split() if word in COLORS], axis=0) for text in texts])


def unit(vectors):
    vectors = np.asarray(vectors, "float32")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pictures(*colors):
    return np.array([np.full((4, 4, 3), 255 * np.array(COLORS[color])) for color in colors], "uint8")


MODEL = Colors()
SPACE = SharedSpace(MODEL)
TEXTS = ["a red car", "a green tree", "a blue sea", "red and green"]


def test_similarity_is_the_cosine():
    half = np.sqrt(0.5)
    expected = [[1, 0, 0, half], [0, 0, 1, 0]]
    np.testing.assert_allclose(SPACE.similarity(pictures("red", "blue"), TEXTS), expected, atol=1e-6)
    vectors = MODEL.encode_texts(TEXTS, 1, 0)
    np.testing.assert_allclose(SPACE.similarity(pictures("red", "blue"), vectors), expected, atol=1e-6)


def test_classes_are_what_their_names_say():
    probabilities = SPACE.classify(pictures("green", "red"), ["red", "green"], template="a {} thing")
    # Cosines of 1 and 0 over a temperature of a half are logits of 2 and 0.
    sure = np.exp(2.0) / (1.0 + np.exp(2.0))
    np.testing.assert_allclose(probabilities, [[1 - sure, sure], [sure, 1 - sure]], rtol=1e-5)
    several = SPACE.classify(pictures("green"), ["red", "green"], template=["a {} thing", "{} and blue"])
    vectors = unit(np.array([[1, 0, 0], [0, 1, 0]]) + unit([[1, 0, 1], [0, 1, 1]]))
    logits = 2.0 * vectors[:, 1]
    np.testing.assert_allclose(several[0], np.exp(logits) / np.exp(logits).sum(), rtol=1e-5)


def test_retrieval_in_every_direction():
    bank = pictures("blue", "red", "green")
    indices, cosines = SPACE.retrieve("something red", bank, top=2)
    assert indices.tolist()[0] == 1 and indices.shape == cosines.shape == (2,)
    np.testing.assert_allclose(cosines, [1.0, 0.0], atol=1e-6)
    indices, _ = SPACE.retrieve(["green", "blue"], CaptionedImages(bank, ["x", "y", "z"]), top=1)
    assert indices.tolist() == [[2], [0]]
    assert SPACE.retrieve(bank[1], TEXTS, top=2)[0].tolist() == [0, 3]
    assert SPACE.retrieve(bank, TEXTS, top=1)[0].tolist() == [[2], [0], [1]]
    assert SPACE.retrieve(MODEL.encode_images(bank, 1, 0), bank, top=9)[0].shape == (3, 3)


def test_captions_are_the_nearest_texts():
    bank = pictures("blue", "red")
    assert SPACE.caption(bank, TEXTS) == ["a blue sea", "a red car"]
    assert SPACE.caption(bank[1], TEXTS) == "a red car"
    assert SPACE.caption(bank[1], TEXTS, top=2) == ["a red car", "red and green"]
    assert SPACE.caption(bank[:1], TEXTS, top=1) == ["a blue sea"]


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda x: SPACE.classify(x, ["red"]), ValueError, "Colors.classify: class_names must be at least two"),
        (lambda x: SPACE.classify(x, ["red", "red"]), ValueError, "two different"),
        (lambda x: SPACE.classify(x, ["red", "green"], template="a colour"), ValueError, "a template must be a string"),
        (lambda x: SPACE.classify(x, ["red", "green"], template=[]), ValueError, "a template must be a string"),
        (lambda x: SPACE.retrieve("red", x, top=0), ValueError, "top must be an integer of at least 1; got 0"),
        (lambda x: SPACE.retrieve("red", 7), TypeError, "Colors.retrieve: expected texts, images .*; got int"),
        (lambda x: SPACE.similarity(x, np.zeros((2, 5))), ValueError, r"Colors.similarity: .* 3; got shape \(2, 5\)"),
        (lambda x: SPACE.caption(x, []), ValueError, "Colors.caption: got an empty list"),
        (lambda x: SPACE.caption(x, "red"), TypeError, "Colors.caption"),
    ],
)
def test_refuses(call, kind, said):
    with pytest.raises(kind, match=said):
        call(pictures("red"))
