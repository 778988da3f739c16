import keras
import numpy as np
import pytest

from kgen.metrics import DualFeatureExtractor, TextAlignment
from tests.metrics import clip, measures

TEXTS = ["a red cat", "Cat, red!", "a", "a text that is by far too long for this"]


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """`(path, backbone, preprocessor)` of a tiny CLIP."""
    path = tmp_path_factory.mktemp("presets") / "tiny_clip"
    return str(path), *clip.save(str(path))


def letters(texts):
    """Features of texts: how often they have the first letters."""
    return np.array([[text.count(each) for each in "abcdef"] for text in texts], "float64")


def extractor(**options):
    return DualFeatureExtractor(measures.small_network(), letters, **options)


# === CLIP ===
def test_the_images_of_clip(preset):
    path, backbone, preprocessor = preset
    images = measures.images(5)[0]
    extractor = DualFeatureExtractor.clip(path)
    features = extractor.extract(images)
    converted = preprocessor.image_converter(images.astype("float32"))
    expected = keras.ops.convert_to_numpy(backbone.get_vision_embeddings(converted))
    assert features.shape == (5, clip.DIM) and expected.std() > 0.01
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)
    assert extractor.name == "tiny_clip" and extractor.image_size == (16, 16)
    assert extractor.dim((64, 64, 3)) == clip.DIM


@pytest.mark.backends
def test_the_texts_of_clip(preset):
    path, backbone, preprocessor = preset
    extractor = DualFeatureExtractor.clip(path)
    features = extractor.text(TEXTS)
    tokens = preprocessor({"prompts": TEXTS, "images": None})["token_ids"]
    expected = keras.ops.convert_to_numpy(backbone.get_text_embeddings(tokens))
    assert features.dtype == np.float32 and features.shape == (4, clip.DIM)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)
    # Neither what stands beside a text, nor capitals, nor what is beyond the end change it.
    np.testing.assert_allclose(extractor.text(["A RED CAT"])[0], features[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(extractor.text([TEXTS[3] + " clip"])[0], features[3], rtol=1e-4, atol=1e-5)
    assert abs(features[0] - features[1]).max() > 1e-3


def test_the_tokens_are_those_of_the_words(preset):
    tokens = keras.ops.convert_to_numpy(preset[2]({"prompts": ["a red cat"], "images": None})["token_ids"])
    start, end, letters = 60, 61, 28
    assert list(tokens[0, :5]) == [start, letters, 2 * letters + 1, 2 * letters + 3, end]


def test_images_of_other_sizes(preset):
    extractor = DualFeatureExtractor.clip(preset[0] + "/")
    coarse = np.repeat(measures.images(3)[0][:, ::4, ::4], 8, axis=1).repeat(8, axis=2)
    assert extractor.extract(coarse).shape == (3, clip.DIM)
    assert extractor.extract(coarse[..., :1]).shape == (3, clip.DIM)
    assert extractor.name == "tiny_clip"


def test_alignment_in_clip(preset):
    images = measures.images(6)[0]
    texts = ["a red cat", "a cat", "red", "bad", "cat, red", "a bad cat"]
    alignment = TextAlignment(DualFeatureExtractor.clip(preset[0]))
    for part in (slice(0, 4), slice(4, 6)):
        alignment.update_state(texts[part], images[part])
    with pytest.warns(UserWarning, match="only 6 pairs, so recall is measured among these instead of 100"):
        results = alignment.result()
    assert list(results) == [f"{each}_tiny_clip" for each in ("cosine", "recall_at_1", "recall_at_5")]
    _, backbone, preprocessor = preset
    inputs = preprocessor({"prompts": texts, "images": images.astype("float32")})
    embeddings = (
        backbone.get_text_embeddings(inputs["token_ids"]),
        backbone.get_vision_embeddings(inputs["images"]),
    )
    a, b = (keras.utils.normalize(keras.ops.convert_to_numpy(x).astype("float64"), axis=-1) for x in embeddings)
    np.testing.assert_allclose(results["cosine_tiny_clip"], (a * b).sum(axis=1).mean(), rtol=1e-4)


def test_a_preset_that_is_not_there(tmp_path):
    with pytest.raises((OSError, ValueError)):
        DualFeatureExtractor.clip(str(tmp_path))


# === Any two networks ===
def test_texts_in_batches(monkeypatch):
    lengths = []

    def text_network(texts):
        lengths.append(len(texts))
        return letters(texts)

    extractor = DualFeatureExtractor(measures.small_network(), text_network, name="letters")
    features = extractor.text(["abc", "d"] * 300)
    assert lengths == [256, 256, 88] and features.dtype == np.float32
    np.testing.assert_array_equal(features, np.tile([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0]], (300, 1)))
    np.testing.assert_array_equal(extractor.text(np.array(["abc"])), features[:1])
    assert extractor.name == "letters"


@pytest.mark.parametrize(
    "texts, error, words",
    [
        ("a cat", TypeError, "must be a list of strings; got 'a cat'"),
        (None, TypeError, "must be a list of strings; got None"),
        (3, TypeError, "must be a list of strings; got 3"),
        (["a cat", 3], TypeError, "texts must be strings; got int"),
        ([["a cat"]], TypeError, "texts must be strings; got list"),
        ([], ValueError, "the list of texts is empty"),
    ],
)
def test_wrong_texts(texts, error, words):
    with pytest.raises(error, match=f"DualFeatureExtractor: .*{words}"):
        extractor().text(texts)


def test_a_network_of_texts_is_needed():
    with pytest.raises(TypeError, match="DualFeatureExtractor: text_network must be a callable .*; got str"):
        DualFeatureExtractor(measures.small_network(), "clip")
