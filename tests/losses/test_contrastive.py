import keras
import numpy as np
import pytest
from keras import ops

from kgen import losses
from kgen.losses import ContrastiveLoss, InfoNCE, SigmoidContrastive, matching_accuracy

pytestmark = pytest.mark.backends

LOGITS = np.random.default_rng(0).normal(scale=5.0, size=(6, 6))
# Captions 0, 2 and 5 are equal, and 3 and 4.
SAME = np.equal.outer(names := np.array(list("abacca")), names)


def log_softmax(rows):
    """In float64, a row at a time."""
    return rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))


def by_hand(loss, logits, same):
    """The formulas of the docstrings in float64, a pair at a time."""
    count, values = len(logits), np.zeros(len(logits))
    by_caption, by_image = log_softmax(logits), log_softmax(logits.T)
    for i in range(count):
        for j in range(count):
            if isinstance(loss, InfoNCE):
                share = same[i, j] / sum(same[i])
                values[i] -= 0.5 * share * (by_caption[i, j] + by_image[i, j])
            else:
                values[i] += np.log1p(np.exp(-logits[i, j] if same[i, j] else logits[i, j]))
    return values


@pytest.mark.parametrize("loss", [InfoNCE(), SigmoidContrastive()])
@pytest.mark.parametrize("same", [None, SAME])
def test_is_its_formula(loss, same):
    expected = by_hand(loss, LOGITS, np.eye(6, dtype=bool) if same is None else same)
    value = loss.loss(LOGITS.astype("float32"), same)
    np.testing.assert_allclose(ops.convert_to_numpy(value), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", [InfoNCE(), SigmoidContrastive()])
def test_captions_and_images_may_change_places(loss):
    total = [ops.convert_to_numpy(loss.loss(rows.astype("float32"), SAME)).sum() for rows in (LOGITS, LOGITS.T)]
    np.testing.assert_allclose(*total, rtol=1e-5)


@pytest.mark.parametrize("loss", [InfoNCE(), SigmoidContrastive()])
def test_equal_captions_do_not_push_each_other_away(loss):
    """Images that fit all equal captions alike, and no others, cost nothing more than the choice among equals."""
    logits = np.where(SAME, 50.0, -50.0).astype("float32")
    alone = np.where(np.eye(6), 50.0, -50.0).astype("float32")
    choice = np.log(SAME.sum(axis=1)) if isinstance(loss, InfoNCE) else np.zeros(6)
    np.testing.assert_allclose(ops.convert_to_numpy(loss.loss(logits, SAME)), choice, atol=1e-4)
    assert (ops.convert_to_numpy(loss.loss(alone, SAME)) > choice + 10)[[0, 2, 3, 4, 5]].all()


def test_large_logits_do_not_overflow():
    logits = np.where(np.eye(4), -1e4, 1e4).astype("float32")
    for loss in (InfoNCE(), SigmoidContrastive()):
        assert np.isfinite(ops.convert_to_numpy(loss.loss(logits))).all()


@pytest.mark.parametrize("kind", [InfoNCE, SigmoidContrastive])
def test_travels_in_a_config_and_has_a_short_name(kind):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(kind()))
    assert type(again) is kind and isinstance(again, ContrastiveLoss)
    name = {InfoNCE: "info_nce", SigmoidContrastive: "sigmoid_contrastive"}[kind]
    assert type(losses.get("contrastive loss", name)) is kind
    with pytest.raises(ValueError, match=r"unknown contrastive loss 'triplet'; choose from \['info_nce', 'sigm"):
        losses.get("contrastive loss", "triplet")


def test_accuracy_of_both_directions():
    logits = np.array([[3.0, 1.0, 2.0], [4.0, 2.0, 0.0], [0.0, 1.0, 5.0]], "float32")
    # Images: right, wrong, right. Captions: the first is image 1's, the others their own.
    np.testing.assert_array_equal(ops.convert_to_numpy(matching_accuracy(logits)), [0.5, 0.5, 1.0])
    same = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], bool)
    np.testing.assert_array_equal(ops.convert_to_numpy(matching_accuracy(logits, same)), [1.0, 1.0, 1.0])
