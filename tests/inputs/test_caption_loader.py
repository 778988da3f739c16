import sys

import keras
import numpy as np
import pytest

from kgen.inputs.caption_loader import LoadedCaptions, is_loader
from kgen.text import CaptionFeatures
from tests.inputs.test_caption_input import brightness
from tests.models import tiny_text

pytest.importorskip("tensorflow_text")
IMAGES, CAPTIONS = tiny_text.pictures(8)
FIRST = [each[0] for each in CAPTIONS]


class Loader:
    """Batches anew each time that it is gone through, as a dataset of grain gives them."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def pairs(size=3):
    return [(IMAGES[i : i + size], FIRST[i : i + size]) for i in range(0, 8, size)]


def torch_loader(as_dict, **options):
    torch = pytest.importorskip("torch")
    if as_dict:
        rows = [{"images": torch.as_tensor(image), "captions": text} for image, text in zip(IMAGES, FIRST)]
    else:
        rows = list(zip(IMAGES, FIRST))
    return torch.utils.data.DataLoader(rows, batch_size=3, **options)


def compiled():
    keras.utils.set_random_seed(0)
    model = brightness()
    model.compile(keras.optimizers.Adam(0.05), run_eagerly=True)
    return model


def losses(data, **options):
    model = compiled()
    return model.fit(data, epochs=2, verbose=0, **options).history["loss"]


@pytest.mark.backends
@pytest.mark.parametrize("as_dict", [False, True])
def test_a_loader_of_torch_trains_as_arrays_do(as_dict):
    expected = losses({"images": IMAGES, "captions": FIRST}, batch_size=3, shuffle=False)
    np.testing.assert_allclose(losses(torch_loader(as_dict)), expected, rtol=1e-5)


def test_another_loader_validates_too():
    expected = losses(Loader(pairs()))
    model = compiled()
    loader = Loader([{"images": images, "captions": np.array(texts)} for images, texts in pairs()])
    history = model.fit(loader, epochs=2, validation_data=Loader(pairs()), verbose=0).history
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-5)
    score = model.evaluate(Loader(pairs()), verbose=0)
    np.testing.assert_allclose(history["val_loss"][-1], score, rtol=1e-5)


class Batches(keras.utils.PyDataset):
    """Batches of Keras; counts the epochs that it was told of."""

    def __init__(self, batches):
        super().__init__()
        self.batches, self.epochs = batches, []

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]

    def on_epoch_begin(self):
        self.epochs.append("begin")

    def on_epoch_end(self):
        self.epochs.append("end")


@pytest.mark.parametrize("as_dict", [False, True])
def test_batches_of_keras_train_as_arrays_do(as_dict):
    expected = losses({"images": IMAGES, "captions": FIRST}, batch_size=3, shuffle=False)
    batches = Batches([dict(zip(("images", "captions"), pair)) if as_dict else pair for pair in pairs()])
    np.testing.assert_allclose(losses(batches), expected, rtol=1e-5)
    # Keras on TensorFlow reads batches in advance, and calls one hook too often.
    assert batches.epochs.count("begin") == 2 and batches.epochs.count("end") >= 2


def test_every_epoch_goes_through_it_anew_and_new_captions_are_read():
    encoder = tiny_text.text_encoder()
    given = []

    class Drawn(Loader):
        def __iter__(self):
            given.append(len(given))
            return iter([(IMAGES[:2], [f"a red picture {given[-1]}", "a cat"])])

    data = LoadedCaptions("Model", Drawn([]), list, lambda captions: CaptionFeatures(encoder, captions))
    assert len(data) == 1 and set(data[0]) == {"images", "pooled", "tokens", "mask"}
    np.testing.assert_allclose(data[0]["pooled"], encoder.encode(["a red picture 2", "a cat"])["pooled"], atol=1e-5)
    assert len(data.table) == 4


def test_a_batch_in_the_middle_is_that_of_the_loader():
    data = LoadedCaptions(
        "Model", Loader(pairs(1)), list, lambda texts: CaptionFeatures(tiny_text.text_encoder(), texts)
    )
    for index in (0, 1, 4, 5, 2, 7, 0):
        np.testing.assert_array_equal(data[index]["images"], IMAGES[index : index + 1])


def test_what_is_a_loader():
    assert is_loader(Loader([])) and not any(map(is_loader, ([], (), {}, IMAGES, iter([]), "text", 3)))


def test_bad_input():
    model = brightness()
    model.compile()
    for batches, words in (
        ([], "Brightness: the loader gives no batches"),
        ([IMAGES], "batch 0 of the loader must be a pair of images and captions, or a dict .* got ndarray"),
        ([{"pixels": IMAGES}], r"got \['pixels'\]"),
        (
            [pairs()[0], (IMAGES, FIRST[:2])],
            r"batch 1 of the loader must have a caption for each .* got 2 captions and",
        ),
        ([(IMAGES[:1], [" "])], "batch 0 of the loader: caption 0 is empty"),
    ):
        with pytest.raises(ValueError, match=words):
            model.fit(Loader(batches))
    with pytest.raises(TypeError, match="batch 0 of the loader: caption 0 must be a string; got 3"):
        model.fit(Loader([(IMAGES[:1], [3])]))
    with pytest.raises(ValueError, match="Brightness: images must"):
        model.fit(Loader([(IMAGES.transpose(0, 3, 1, 2), FIRST)]))
    with pytest.raises(ValueError, match="a generator yields its batches only once, .* Pass a DataLoader"):
        model.fit(each for each in pairs())

    class Endless(Loader):
        def __len__(self):
            return sys.maxsize

    with pytest.raises(ValueError, match=r"the loader is endless, but all captions are .* Remove repeat\(\)"):
        model.fit(Endless([]))
