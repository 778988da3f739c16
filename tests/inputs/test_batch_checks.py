import keras
import numpy as np
import pytest

from kgen.heads import ClassificationHead, SegmentationHead
from kgen.inputs.batch_checks import check_numbers, every_batch
from kgen.models import ImageClassifier, ImageSegmenter, MultiTaskModel
from tests.models import tiny

ROWS, BATCH = 8, 4
# For few steps less work than compiling one; JAX compiles each operation.
EAGERLY = {"run_eagerly": keras.backend.backend() == "tensorflow"}


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y = x, y
        self.ended = 0

    def __len__(self):
        return ROWS // BATCH

    def __getitem__(self, index):
        rows = slice(index * BATCH, (index + 1) * BATCH)
        return self.x[rows], {k: v[rows] for k, v in self.y.items()} if isinstance(self.y, dict) else self.y[rows]

    def on_epoch_end(self):
        self.ended += 1


def as_dataset(x, y):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)


def as_generator(x, y):
    batches = Batches(x, y)
    return (batches[i] for i in range(len(batches)))


def as_loader(x, y):
    if keras.backend.backend() != "torch":
        pytest.skip("loaders are for torch")
    import torch

    rows = torch.utils.data.TensorDataset(torch.as_tensor(x), torch.as_tensor(y))
    return torch.utils.data.DataLoader(rows, batch_size=BATCH)


KINDS = [as_dataset, as_generator, Batches, as_loader]


def gan():
    made = tiny.gan(tiny.CLASSES)
    made.compile(penalties=[], **EAGERLY)
    return made, tiny.labels(ROWS)


def _backbone():
    images = keras.Input(tiny.SHAPE)
    return keras.Model(images, keras.layers.Conv2D(2, 3, strides=2, padding="same")(images))


def classifier():
    made = ImageClassifier(_backbone(), num_classes=tiny.CLASSES, image_shape=tiny.SHAPE)
    made.compile(**EAGERLY)
    return made, tiny.labels(ROWS)


def segmenter():
    made = ImageSegmenter(_backbone(), num_classes=tiny.CLASSES, image_shape=tiny.SHAPE)
    made.compile(**EAGERLY)
    return made, np.zeros((ROWS, *tiny.SHAPE[:2]), "uint8")


def several():
    heads = {"kind": ClassificationHead(tiny.CLASSES), "where": SegmentationHead(tiny.CLASSES)}
    made = MultiTaskModel(_backbone(), heads, image_shape=tiny.SHAPE)
    made.compile(**EAGERLY)
    return made, {"kind": tiny.labels(ROWS), "where": np.zeros((ROWS, *tiny.SHAPE[:2]), "uint8")}


def spoiled(y):
    """The same answers, the last of which is out of range."""
    if isinstance(y, dict):
        return {**y, "where": spoiled(y["where"])}
    y = y.copy()
    y[-1] = 7
    return y


def test_a_loader_with_spawned_workers():
    data = pytest.importorskip("torch").utils.data
    loader = data.DataLoader(list(range(4)), batch_size=2, num_workers=1, multiprocessing_context="spawn")
    seen = []
    checked = every_batch(loader, seen.append, None)
    assert len(checked) == 2 and isinstance(checked, data.DataLoader)
    assert [batch.tolist() for batch in checked] == [batch.tolist() for batch in seen] == [[0, 1], [2, 3]]


@pytest.mark.backends
@pytest.mark.parametrize(("make", "kind"), [*((gan, kind) for kind in KINDS), (several, as_dataset)])
def test_answers_of_every_batch_are_checked(make, kind):
    made, y = make()
    x = tiny.pictures(ROWS)
    message = "must be in 0 .. 2; got"
    for good in (True, False):
        data = kind(x, y if good else spoiled(y))
        if good:
            made.fit(data, verbose=0)
            continue
        with pytest.raises(Exception, match=message) as raised:
            made.fit(data, verbose=0)
        assert type(made).__name__ in str(raised.value) and "7" in str(raised.value)
    # On JAX Keras loses the weights of a model whose training was interrupted.
    made, _ = make()
    with pytest.raises(Exception, match=message):
        made.evaluate(kind(x, spoiled(y)), verbose=0)


@pytest.mark.parametrize("make", [classifier, segmenter])
def test_answers_of_each_model(make):
    made, y = make()
    x = tiny.pictures(ROWS)
    kinds = as_dataset(x, spoiled(y)), Batches(x, spoiled(y))
    for data in kinds:
        with pytest.raises(Exception, match=rf"{type(made).__name__}: (labels|masks) must be in (0|-1) .. 2; got"):
            made.evaluate(data, verbose=0)


def test_answers_to_validate_with():
    made, y = gan()
    x = tiny.pictures(ROWS)
    for kind in (as_dataset, Batches):
        with pytest.raises(Exception, match="GAN: labels must be in 0 .. 2; got"):
            made.fit(x, y, validation_data=kind(x, spoiled(y)), verbose=0)


def test_a_generator_without_answers():
    made, _ = gan()
    with pytest.raises(ValueError, match=r"GAN: labels must be given; call fit\(images, labels\)"):
        made.fit((tiny.pictures(BATCH) for _ in range(2)), verbose=0)


def test_what_the_user_gave_is_told_of_epochs():
    made, y = gan()
    batches = Batches(tiny.pictures(ROWS), y)
    made.fit(batches, epochs=2, verbose=0)
    assert batches.ended >= 2


def test_unknown_answers_of_an_unsigned_type_are_in_range():
    tf = pytest.importorskip("tensorflow")
    made, _ = classifier()
    x, y = tiny.pictures(ROWS), tiny.labels(ROWS)
    for dtype, numbers in (("uint8", y), ("int64", np.where(y == 1, -1, y))):
        data = tf.data.Dataset.from_tensor_slices((x, numbers.astype(dtype))).batch(BATCH)
        assert np.isfinite(made.evaluate(data, verbose=0, return_dict=True)["loss"])


def test_numbers():
    check_numbers("Model", "labels", np.array([0, 9]), 0, 9)
    check_numbers("Model", "labels", np.zeros((0,), int), 0, 9)
    for numbers, message in ((np.array([0, 10]), "in 0 .. 9; got 0 to 10"), (np.zeros(2), "integers; got float64")):
        with pytest.raises(ValueError, match=f"^Model: labels must be {message}"):
            check_numbers("Model", "labels", numbers, 0, 9)
