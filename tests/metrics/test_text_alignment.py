import keras
import numpy as np
import pytest

from kgen.metrics import DualFeatureExtractor, FrechetDistance, RetrievalRecall, TextAlignment, update_all
from kgen.metrics.text_alignment import first_of_each
from tests.checks.metrics import check_metric
from tests.metrics import measures

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def color_encoder():
    """Images by their mean colour, and texts by the colours that they name."""
    network = keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()])

    def text_network(texts):
        return np.array([[color in text for color in COLORS] for text in texts], "float32")

    return DualFeatureExtractor(network, text_network, name="colors", value_range=(0, 1))


def make_images(*colors):
    return np.array([np.full((4, 4, 3), COLORS[color]) for color in colors], "uint8")


@pytest.mark.backends
def test_what_every_metric_owes():
    check_metric(measures.alignment, *measures.features(), tolerance=1e-6)


# === The numbers ===
def test_of_features():
    texts, images = measures.features()
    metric = TextAlignment(among=10)
    metric.update_state(texts, images)
    results = metric.result()
    a, b = texts.astype("float64"), images.astype("float64")
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(results["cosine"], cosines.mean(), rtol=1e-6)
    recall = RetrievalRecall(among=10)
    recall.update_state(texts, images)
    assert {key: results[key] for key in recall.keys} == recall.result()


@pytest.mark.backends
def test_of_texts():
    metric = TextAlignment(color_encoder(), among=3)
    metric.update_state(["a red square", "green"], make_images("red", "green"))
    metric.update_state(["something blue"], make_images("blue"))
    expected = {"cosine_colors": 1.0, "recall_at_1_colors": 1.0, "recall_at_5_colors": 1.0}
    assert metric.result() == pytest.approx(expected, rel=1e-6)
    metric.reset_state()
    metric.update_state(["red", "red and green", "blue"], make_images("red", "green", "red"))
    results = metric.result()
    assert results["cosine_colors"] == pytest.approx((1 + np.sqrt(0.5) + 0) / 3, rel=1e-6)
    # Red finds red. Green is nearest to its own. The last is nearer to two others.
    assert results["recall_at_1_colors"] == pytest.approx(2 / 3, rel=1e-6)


def test_texts_all_alike_retrieve_nothing():
    metric = TextAlignment(color_encoder(), among=2)
    metric.update_state(["red"] * 4, make_images("red", "red", "red", "red"))
    assert metric.result()["recall_at_1_colors"] == 0.0 and metric.directions["cosine_colors"] == "max"


def test_a_single_pair_has_a_cosine():
    metric = TextAlignment(color_encoder())
    assert np.isnan(list(metric.result().values())).all()
    metric.update_state(["red"], make_images("red"))
    with pytest.warns(UserWarning, match="text_alignment_colors: with a single pair there is no recall"):
        results = metric.result()
    assert results["cosine_colors"] == pytest.approx(1.0) and np.isnan(results["recall_at_1_colors"])


def test_where_each_text_comes_first():
    assert first_of_each(["red", "blue", "red", "green", "blue"]) == [0, 1, 3]


def test_together_with_others():
    encoder = color_encoder()
    real, generated = measures.images(12)
    texts = ["red", "green", "blue"] * 4
    together = [TextAlignment(encoder, among=12, name="alone"), TextAlignment(encoder, among=12)]
    update_all(together, texts, generated)
    assert list(together[0].results().values()) == list(together[1].results().values())
    assert list(together[0].results()) == ["alone_cosine", "alone_recall_at_1", "alone_recall_at_5"]


# === What is refused ===
def test_texts_and_images_in_pairs():
    metric = TextAlignment(color_encoder())
    with pytest.raises(ValueError, match="TextAlignment compares image i with image i, .*; got 1 and 2"):
        metric.update_state(["red"], make_images("red", "green"))
    with pytest.raises(TypeError, match="texts must be a list of strings; got 'red'"):
        metric.update_state("red", make_images("red", "green", "blue"))
    with pytest.raises(TypeError, match="texts must be a list of strings; got None"):
        metric.update_state(None, make_images("red"))
    with pytest.raises(ValueError, match="TextAlignment: generated images are float32"):
        metric.update_state(["red"], make_images("red").astype("float32"))
    with pytest.raises(ValueError, match="all features must have the same length; got lengths"):
        TextAlignment(
            DualFeatureExtractor(color_encoder().network, lambda texts: np.ones((len(texts), 2)))
        ).update_state(["red"], make_images("red"))


def test_needs_a_dual_encoder():
    for wrong in ("efficientnet_lite0", FrechetDistance("pixels").feature_extractor, measures.small_network()):
        with pytest.raises(TypeError, match="DualFeatureExtractor: expected a dual encoder"):
            TextAlignment(wrong)


def test_not_for_compile():
    with pytest.raises(ValueError, match=r"TextAlignment needs texts, which compile\(\) cannot"):
        TextAlignment(color_encoder()).build_for((4, 4, 3))


def test_an_encoder_cannot_be_saved():
    with pytest.raises(ValueError, match="TextAlignment: the feature extractor 'colors' cannot be saved"):
        TextAlignment(color_encoder()).get_config()
    assert TextAlignment(among=7).get_config()["among"] == 7 and "similarity" not in TextAlignment().get_config()
