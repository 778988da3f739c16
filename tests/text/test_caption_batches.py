import numpy as np
import pytest

from kgen.text import CaptionBatches, CaptionFeatures, CaptionTokens, attach_features
from kgen.training.epochs import epochs_of

SEVERAL = [["a blue square"], ["a green circle", "a green disc"], ["a red square", "red"], ["a red circle"], ["one"]]
IMAGES = np.arange(5, dtype="uint8")[:, None, None, None] * np.ones((1, 2, 2, 1), "uint8")


@pytest.fixture(scope="module")
def flat():
    return [caption for each in SEVERAL for caption in each]


def batches(encoder, flat, **kwargs):
    return CaptionBatches(IMAGES, SEVERAL, CaptionTokens(encoder, flat), batch_size=2, **kwargs)


def seen(dataset):
    return [batch["images"][:, 0, 0, 0].tolist() for batch in (dataset[i] for i in range(len(dataset)))]


@pytest.mark.backends
def test_tokens_are_those_of_the_encoder(encoder, flat):
    table = CaptionTokens(encoder, flat)
    wanted = ["a red circle", "a blue square", "a red circle"]
    for name, values in encoder.tokenize(wanted).items():
        assert np.array_equal(table.gather(table.index(wanted))[name], values)
    row = table.index(["red"])
    table.extend(["red", "something new"])
    assert table.index(["red"]) == row and table.index(["something new"])[0] == len(flat)


def test_every_image_once_an_epoch_with_one_of_its_captions(encoder, flat):
    dataset = batches(encoder, flat)
    table = dataset.table
    captions = {}
    for epoch in range(12):
        dataset.steps_done = lambda epoch=epoch: 3 * epoch
        dataset.on_epoch_begin()
        assert sorted(sum(seen(dataset), [])) == [0, 1, 2, 3, 4]
        for i in range(3):
            batch = dataset[i]
            for number, tokens in zip(batch["images"][:, 0, 0, 0], batch["token_ids"]):
                own = table.gather(table.index(SEVERAL[number]))["token_ids"]
                match = [k for k, other in enumerate(own) if np.array_equal(other, tokens)]
                assert match, "a caption of another image"
                captions.setdefault(int(number), set()).add(match[0])
    assert captions[1] == {0, 1} and captions[2] == {0, 1}


def test_order_follows_from_seed_and_steps_alone(encoder, flat):
    first, second = batches(encoder, flat, seed=3), batches(encoder, flat, seed=3)
    assert seen(first) == seen(second)
    first.steps_done = second.steps_done = lambda: 3
    first.on_epoch_begin()
    first.on_epoch_begin()
    second.on_epoch_begin()
    assert seen(first) == seen(second) != seen(batches(encoder, flat, seed=3))
    assert seen(first) != seen(batches(encoder, flat, seed=4))


@pytest.mark.parametrize("before", [0, 1, 2])
def test_an_epoch_that_goes_on_is_the_one_that_began(encoder, flat, before):
    """Whatever the model had learned from before, in epochs of another length."""
    whole = epochs_of("fit", batches(encoder, flat, steps_done=lambda: before)).begin(0, 0)["x"]
    left = epochs_of("fit", batches(encoder, flat, steps_done=lambda: before + 2)).begin(0, 2)["x"]
    for each in (whole, left):
        each.on_epoch_begin()
    assert len(left) == 1
    np.testing.assert_array_equal(left.batches.order, whole.batches.order)
    for name, values in left[0].items():
        np.testing.assert_array_equal(values, whole[2][name])


def test_without_shuffling_the_first_captions_in_order(encoder, flat):
    dataset = batches(encoder, flat, shuffle=False)
    assert seen(dataset) == [[0, 1], [2, 3], [4]]
    expected = dataset.table.gather(dataset.table.index([each[0] for each in SEVERAL[:2]]))
    assert np.array_equal(dataset[0]["token_ids"], expected["token_ids"])


def test_a_dataset_whose_captions_change_from_epoch_to_epoch(encoder):
    tf = pytest.importorskip("tensorflow")
    captions = ["a blue square", "a green circle", "a red square", "a red circle", "one"]
    dataset = tf.data.Dataset.from_tensor_slices({"images": IMAGES, "captions": captions}).batch(2)
    # The table knows the first caption only.
    table = CaptionFeatures(encoder, captions[:1])
    result = list(attach_features(dataset, table).as_numpy_iterator())
    assert [len(batch["images"]) for batch in result] == [2, 2, 1]
    expected = encoder.encode(captions)
    for name in ("pooled", "tokens", "mask"):
        np.testing.assert_allclose(np.concatenate([batch[name] for batch in result]), expected[name], atol=1e-5)


def test_captions_of_some_images_beside_something_else(encoder, flat):
    dataset, at = batches(encoder, flat), [3, 1, 0]
    drawn = []
    for epoch in range(12):
        beside = dataset.beside(np.array([30.0, 10.0, 0.0]), at, 3, True, seed=1, steps_done=lambda: epoch)  # noqa: B023
        (batch,) = [beside[i] for i in range(len(beside))]
        for number, tokens in zip(batch["images"], batch["token_ids"]):
            own = dataset.table.gather(dataset.table.index(SEVERAL[int(number) // 10]))["token_ids"]
            drawn += [int(number) + row for row in range(len(own)) if np.array_equal(own[row], tokens)]
    # All captions of all three, and none of the others; the batches that they are from are as they were.
    assert set(drawn) == {0, 10, 11, 30} and len(drawn) == 36
    assert len(dataset) == 3 and len(dataset.images) == 5
