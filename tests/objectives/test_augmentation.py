import numpy as np
import pytest
from keras import layers, ops

from kgen.objectives.augmentation import Augmentation
from kgen.training import SeedGenerator


def batch(count=6):
    """Images, one-hot labels and masks, as arrays; layers want tensors."""
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (count, 8, 8, 1)).astype("float32")
    return images, np.eye(3, dtype="float32")[np.arange(count) % 3], random.integers(0, 4, (count, 8, 8, 1), "int32")


def augmented(augmentation, *parts):
    results = augmentation(*(ops.convert_to_tensor(part) for part in parts))
    return [None if each is None else ops.convert_to_numpy(each) for each in results]


@pytest.mark.backends
def test_masks_move_as_images_move():
    images, labels, masks = batch(16)
    augmentation = Augmentation("Model", layers.RandomFlip("horizontal"), SeedGenerator(0))
    new_images, new_labels, new_masks = augmented(augmentation, images, labels, masks)
    flipped = [np.abs(new[:, ::-1] - old).max() < 1e-5 for new, old in zip(new_images, images)]
    assert 0 < sum(flipped) < 16, flipped
    assert new_masks.dtype == "int32"
    for i, turned in enumerate(flipped):
        np.testing.assert_allclose(new_images[i], images[i][:, ::-1] if turned else images[i], atol=1e-5)
        np.testing.assert_array_equal(new_masks[i], masks[i][:, ::-1] if turned else masks[i])
    np.testing.assert_array_equal(new_labels, labels)


@pytest.mark.backends
@pytest.mark.parametrize("layer", [layers.MixUp(alpha=1.0), layers.CutMix(1.0)])
def test_labels_are_mixed_as_images_are(layer):
    # Each image is its label's number all over: its mean is that of its mixed labels.
    labels = np.eye(3, dtype="float32")[np.arange(12) % 3]
    images = np.broadcast_to((labels @ [-1.0, 0.0, 1.0]).reshape(-1, 1, 1, 1), (12, 8, 8, 1)).astype("float32")
    new_images, new_labels, _ = augmented(Augmentation("Model", [layer], SeedGenerator(0)), images, labels)
    assert ((new_labels > 0.02) & (new_labels < 0.98)).any()
    np.testing.assert_allclose(new_labels.sum(axis=1), 1.0, rtol=1e-5)
    assert np.abs(new_images - images).max() > 0.1
    if isinstance(layer, layers.MixUp):
        np.testing.assert_allclose(new_images.mean(axis=(1, 2, 3)), new_labels @ [-1.0, 0.0, 1.0], atol=1e-5)


def test_layers_see_pixels_up_to_255():
    images, _, _ = batch()
    inverted = augmented(Augmentation("Model", layers.RandomInvert(1.0), SeedGenerator(0)), images)
    np.testing.assert_allclose(inverted[0], -images, atol=1e-5)
    assert inverted[1:] == [None, None]


def test_nothing_is_nothing():
    images, labels, masks = batch()
    augmentation = Augmentation("Model", None, SeedGenerator(0))
    assert all(a is b for a, b in zip(augmentation(images, labels, masks), (images, labels, masks)))


def test_numbers_are_the_models_own_even_within_rand_augment():
    seeds, layer = SeedGenerator(0), layers.RandAugment(num_ops=1)
    augmentation = Augmentation("Model", [layer, layers.RandomFlip()], seeds)
    assert augmentation.layers[0] is not layer and layer.generator is not seeds
    before = int(ops.convert_to_numpy(seeds.state)[1])
    first, second = (augmented(augmentation, batch()[0])[0] for _ in range(2))
    assert int(ops.convert_to_numpy(seeds.state)[1]) > before and np.isfinite([first, second]).all()
    seeds.state.assign([0, before])
    np.testing.assert_array_equal(augmented(augmentation, batch()[0])[0], first)


@pytest.mark.parametrize("wrong", ["flip", layers.Dense(2), [layers.RandomFlip(), "mixup"]])
def test_what_is_no_augmentation(wrong):
    with pytest.raises(TypeError, match="Model: augmentation must be image preprocessing layers of Keras, such as"):
        Augmentation("Model", wrong, SeedGenerator(0))


def test_masks_are_not_mixed():
    with pytest.raises(ValueError, match="Model: CutMix mixes images and labels, but not masks; leave it out"):
        augmented(Augmentation("Model", layers.CutMix(), SeedGenerator(0)), *batch())


def test_a_layer_that_changes_the_size():
    with pytest.raises(ValueError, match=r"Model: CenterCrop makes images of shape \(4, 4, 1\) from \(8, 8, 1\)"):
        augmented(Augmentation("Model", layers.CenterCrop(4, 4), SeedGenerator(0)), *batch())
