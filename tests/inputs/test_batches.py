import keras
import numpy as np
import pytest

from kgen.inputs.batches import batches, in_memory, look_at

IMAGES, LABELS = np.zeros((4, 2, 3, 1), "float32"), np.arange(4)


class Pairs(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return IMAGES[2 * index : 2 * index + 2], LABELS[2 * index : 2 * index + 2]


def test_looking_at_what_was_given():
    assert look_at("Model", IMAGES, LABELS)[1]["y"] is LABELS
    assert look_at("Model", (IMAGES, LABELS))[0] is IMAGES
    found, others = look_at("Model", {"images": IMAGES, "labels": LABELS})
    assert found is IMAGES and others["labels"] is LABELS
    assert look_at("Model", (image for image in IMAGES)) == (None, {})
    with pytest.raises(ValueError, match=r"Model: a dict of data must have the key 'images'; got \['x'\]"):
        look_at("Model", {"x": IMAGES})


def test_batches_of_arrays_datasets_and_generators():
    assert [others["y"].tolist() for _, others in batches("Model", (IMAGES, LABELS))] == [[0, 1, 2, 3]]
    assert [others["y"].tolist() for _, others in batches("Model", Pairs())] == [[0, 1], [2, 3]]
    # As a torch loader does, in lists.
    lists = ([IMAGES[i : i + 1], LABELS[i : i + 1]] for i in range(4))
    assert [others["y"].tolist() for _, others in batches("Model", lists, steps=3)] == [[0], [1], [2]]


def test_what_is_in_memory(tensorflow_backend):
    import tensorflow as tf

    assert in_memory(IMAGES) and in_memory(tf.constant(IMAGES))
    for given in ((IMAGES, LABELS), [IMAGES], Pairs(), tf.data.Dataset.from_tensor_slices(IMAGES), iter(IMAGES)):
        assert not in_memory(given)
