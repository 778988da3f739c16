import sys

import numpy as np
import pytest

from kgen.data import CaptionedImages


def numbered(n, captions=1):
    """Image i is filled with i and described by "i.0", "i.1", ..."""
    images = np.broadcast_to(np.arange(n, dtype="uint8")[:, None, None, None], (n, 4, 4, 3)).copy()
    return CaptionedImages(images, [[f"{i}.{j}" for j in range(captions)] for i in range(n)])


def test_holds_images_and_captions():
    data = CaptionedImages(
        np.zeros((2, 8, 8, 1), "uint8"), ["a cat", ("a dog", "一只狗")], ["a.png", "b.png"], report=["x"]
    )
    assert len(data) == 2 and data.image_shape == (8, 8, 1)
    assert data.captions == [["a cat"], ["a dog", "一只狗"]]
    assert data.file_names == ["a.png", "b.png"] and data.report == ["x"]
    assert "2 images" in repr(data) and "3 captions" in repr(data)


def test_indexing():
    data = numbered(5)
    image, captions = data[3]
    assert image.shape == (4, 4, 3) and image[0, 0, 0] == 3 and captions == ["3.0"]
    part = data[[4, 1]]
    assert part.captions == [["4.0"], ["1.0"]] and part.images[:, 0, 0, 0].tolist() == [4, 1]
    assert data[1:3].file_names == ["1", "2"]
    with pytest.raises(IndexError):
        data[5]


@pytest.mark.parametrize("test", [0.3, 3, np.int64(3)])
def test_split_parts_the_images(test):
    data = numbered(10)
    train, held = data.split(test, seed=1)
    assert len(train) == 7 and len(held) == 3
    assert sorted(train.captions + held.captions) == data.captions
    assert all(texts == [f"{image[0, 0, 0]}.0"] for image, texts in zip(held.images, held.captions, strict=True))
    assert data.split(test, seed=1)[1].captions == held.captions
    assert any(data.split(test, seed=seed)[1].captions != held.captions for seed in (2, 3))


def test_split_keeps_attributes():
    data = CaptionedImages(np.zeros((4, 2, 2, 3), "uint8"), list("abcd"), attributes=[0, 1, 2, 3])
    train, held = data.split(1)
    assert ["abcd"[i] for i in train.attributes + held.attributes] == [t[0] for t in train.captions + held.captions]


@pytest.mark.parametrize("test", [0, 10, 0.0, 1.0, 0.01, True, "half", None])
def test_split_refuses_empty_parts(test):
    with pytest.raises(ValueError, match="at least one of the 10 images on each side"):
        numbered(10).split(test)


def test_arrays():
    data = numbered(3, captions=2)
    images, captions = data.arrays()
    assert images is data.images and captions == ["0.0", "1.0", "2.0"]
    images, captions = data.arrays(expand=True)
    assert images[:, 0, 0, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert captions == ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1"]


def epoch(dataset):
    pairs = [pair for batch in dataset for pair in zip(batch["images"], batch["captions"].numpy(), strict=True)]
    return [(int(image[0, 0, 0]), text.decode()) for image, text in pairs]


def test_dataset_draws_a_caption_of_each_image_each_epoch():
    pytest.importorskip("tensorflow")
    dataset = numbered(10, captions=3).as_dataset(4, seed=5)
    assert dataset.element_spec["images"].shape.as_list() == [None, 4, 4, 3]
    assert dataset.element_spec["images"].dtype == "uint8" and dataset.element_spec["captions"].dtype == "string"
    assert len(dataset) == 3 and [len(batch["captions"]) for batch in dataset] == [4, 4, 2]
    dataset = numbered(10, captions=3).as_dataset(4, seed=5)
    epochs = [epoch(dataset) for _ in range(6)]
    for pairs in epochs:
        assert sorted(number for number, _ in pairs) == list(range(10))
        assert all(text.startswith(f"{number}.") for number, text in pairs)
    assert [number for number, _ in epochs[0]] != [number for number, _ in epochs[1]]
    assert sorted(epochs[0]) != sorted(epochs[1])
    assert len({text for pairs in epochs for _, text in pairs}) > 20  # of 30
    again = numbered(10, captions=3).as_dataset(4, seed=5)
    assert [epoch(again) for _ in range(2)] == epochs[:2]
    assert epoch(numbered(10, captions=3).as_dataset(4, seed=6)) != epochs[0]


def test_dataset_in_order_for_validation():
    pytest.importorskip("tensorflow")
    dataset = numbered(5, captions=2).as_dataset(2, shuffle=False)
    assert epoch(dataset) == epoch(dataset) == [(i, f"{i}.0") for i in range(5)]


def test_dataset_of_uneven_caption_counts_and_unicode():
    pytest.importorskip("tensorflow")
    data = CaptionedImages(np.zeros((2, 4, 4, 3), "uint8"), [["一只猫"], ["a", "b", "c"]])
    dataset = data.as_dataset(2).repeat(20)
    seen = {text for batch in dataset for text in batch["captions"].numpy()}
    assert seen == {"一只猫".encode(), b"a", b"b", b"c"}


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, None])
def test_dataset_refuses_batch_size(batch_size):
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1"):
        numbered(3).as_dataset(batch_size)


def test_dataset_without_tensorflow_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match="needs TensorFlow.*arrays"):
        numbered(3).as_dataset(2)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((2, 4, 4), "uint8"), ValueError, r"shape \(N, height, width, channels\).*\(2, 4, 4\)"),
        (np.zeros((2, 4, 4, 3), "float32"), TypeError, r"must be uint8.*got float32 with values from 0.0 to 0.0"),
        (np.zeros((0, 4, 4, 3), "uint8"), ValueError, "at least one image"),
        ([[1]], TypeError, "NumPy array.*got list"),
    ],
)
def test_refuses_images(images, error, message):
    with pytest.raises(error, match=message):
        CaptionedImages(images, ["a", "b"])


@pytest.mark.parametrize(
    ("captions", "error", "message"),
    [
        (["a"], ValueError, "got 1 captions for 2 images"),
        (["a", "b", "c"], ValueError, "got 3 captions for 2 images"),
        (["a", ""], ValueError, "a caption of image 1 is wrong: empty caption"),
        (["a", "  "], ValueError, "a caption of image 1 is wrong: empty caption"),
        (["a", ["b", "\u200b"]], ValueError, "a caption of image 1 is wrong: empty caption"),
        (["a", "\ud83d"], ValueError, "a caption of image 1 is wrong: not Unicode .half of a surrogate pair"),
        (["a", []], ValueError, "a caption of image 1 is wrong: empty caption"),
        (["a", 7], TypeError, "image 1 must be a string or a list of strings; got 7"),
        ([["a", None], "b"], TypeError, "image 0 must be a string; got NoneType"),
        ([[b"a"], "b"], TypeError, "image 0 must be a string; got bytes"),
        ("ab", TypeError, "captions must be a list.*got str"),
        (None, TypeError, "captions must be a list.*got NoneType"),
    ],
)
def test_refuses_captions(captions, error, message):
    with pytest.raises(error, match=message):
        CaptionedImages(np.zeros((2, 4, 4, 3), "uint8"), captions)


def test_refuses_other_numbers_of_file_names():
    with pytest.raises(ValueError, match="file_names must have one entry per image; got 1 for 2"):
        CaptionedImages(np.zeros((2, 4, 4, 3), "uint8"), ["a", "b"], file_names=["x"])


def test_descriptions_are_further_captions():
    class Expander:
        def expand(self, prompts):
            return [prompt if prompt == "night" else f"{prompt}, asleep" for prompt in prompts]

    data = CaptionedImages(np.zeros((2, 2, 2, 3), "uint8"), [["a cat", "a kitten"], "night"], ["x", "y"], [1, 2], ["z"])
    more = data.described(Expander())
    assert more.captions == [["a cat", "a kitten", "a cat, asleep"], ["night"]]
    assert (more.images is data.images, more.file_names, more.attributes, more.report) == (
        True,
        ["x", "y"],
        [1, 2],
        ["z"],
    )
