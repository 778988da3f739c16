import keras
import numpy as np
import pytest

from kgen.training.epochs import epochs_of, fingerprint

X, Y = np.arange(20).reshape(10, 2), np.arange(10.0)


def read(arguments):
    """All batches of an epoch, as Keras asks for them."""
    data = arguments["x"]
    if hasattr(data, "element_spec"):
        return [keras.tree.map_structure(lambda each: each.numpy(), batch) for batch in data]
    # Keras on TensorFlow looks at two batches beforehand.
    early = [data[i] for i in range(min(2, len(data)))]
    data.on_epoch_end()
    data.on_epoch_begin()
    batches = [data[i] for i in range(len(data))]
    data.on_epoch_end()
    assert len(early) <= len(batches)
    return batches


def assert_same_batches(expected, actual):
    assert len(expected) == len(actual)
    for a, b in zip(expected, actual):
        keras.tree.map_structure(np.testing.assert_array_equal, a, b)


def check_goes_on(make, epochs=3):
    """From each step of an epoch on, and after it, data are what they are from the beginning."""
    whole = make().begin(0, 0)
    expected = [read(whole) for _ in range(epochs)]
    for step in (1, 2):
        data = make()
        assert_same_batches(expected[1][step:], read(data.begin(1, step)))
        assert_same_batches(expected[2], read(data.begin(2, 0)))
    return expected


# === Arrays ===
def test_arrays_in_another_order_each_epoch():
    expected = check_goes_on(lambda: epochs_of("fit", X, Y, None, 4, True, seed=3))
    for epoch in expected:
        assert [len(batch[1]) for batch in epoch] == [4, 4, 2]
        rows = np.concatenate([batch[1] for batch in epoch])
        np.testing.assert_array_equal(np.sort(rows), Y)
        np.testing.assert_array_equal(np.concatenate([batch[0] for batch in epoch])[:, 0], 2 * rows)
    orders = [np.concatenate([batch[1] for batch in epoch]).tolist() for epoch in expected]
    assert len(set(map(tuple, orders))) == 3
    other = read(epochs_of("fit", X, Y, None, 4, True, seed=4).begin(0, 0))
    assert np.concatenate([batch[1] for batch in other]).tolist() != orders[0]


def test_dicts_weights_and_tensors_in_order():
    given = {"images": keras.ops.convert_to_tensor(X), "features": {"mask": Y > 3}}
    (first, *_), *_ = check_goes_on(lambda: epochs_of("fit", given, Y, 2 * Y, 4, False))
    np.testing.assert_array_equal(first[0]["images"], X[:4])
    np.testing.assert_array_equal(first[0]["features"]["mask"], Y[:4] > 3)
    np.testing.assert_array_equal(first[2], 2 * first[1])
    (first, *_), *_ = check_goes_on(lambda: epochs_of("fit", given, batch_size=4, shuffle=False))
    assert set(first) == {"images", "features"}


# === Batches ===
class Shuffled(keras.utils.PyDataset):
    """Draws its order from a seed, in a hook."""

    def __init__(self, batches=3):
        super().__init__()
        self.random = np.random.default_rng(0)
        self.count = batches
        self.order = np.arange(12)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return (self.order[4 * index : 4 * index + 4].copy(),)

    def on_epoch_end(self):
        self.random.shuffle(self.order)


@pytest.mark.parametrize("shuffle", [True, False])
def test_hooks_are_called_for_the_epochs_left_out(shuffle):
    expected = check_goes_on(lambda: epochs_of("fit", Shuffled(), shuffle=shuffle, seed=1))
    assert expected[0][0][0].tolist() != expected[1][0][0].tolist()


def test_endless_batches():
    class Endless(keras.utils.PyDataset):
        num_batches = None

        def __getitem__(self, index):
            return (np.array([index]),)

    expected = check_goes_on(lambda: epochs_of("fit", Endless(), steps_per_epoch=3))
    assert [int(batch[0][0]) for epoch in expected for batch in epoch] == list(range(9))


@pytest.mark.parametrize("kind", ["loader", "generator"])
def test_loaders_begin_anew_and_generators_go_on(kind):
    def make():
        rows = [[X[i : i + 4], Y[i : i + 4] + i] for i in range(0, 12, 4)]
        return epochs_of("fit", rows_of(rows) if kind == "loader" else iter(rows * 3), steps_per_epoch=3)

    class rows_of:
        def __init__(self, rows):
            self.rows = rows

        def __iter__(self):
            return iter(self.rows)

    check_goes_on(make)
    assert (make().first() is None) == (kind == "generator")
    with pytest.raises(ValueError, match="fit: the data ended after"):
        epochs_of("fit", iter([(X,)]), steps_per_epoch=2).begin(0, 0)["x"][1]


@pytest.mark.parametrize("endless", [True, False])
def test_datasets_skip(endless):
    tf = pytest.importorskip("tensorflow")

    def make():
        dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
        return epochs_of("fit", dataset.repeat() if endless else dataset, steps_per_epoch=2 if endless else None)

    assert make().steps == (2 if endless else 3)
    rest = make().begin(1, 1)
    assert rest["steps_per_epoch"] == (1 if endless else None)
    start = next(iter(rest["x"]))[0].numpy()
    # Of the endless one three batches are done, which are all rows.
    np.testing.assert_array_equal(start, X[:4] if endless else X[4:8])


# === Errors ===
@pytest.mark.parametrize(
    "given, message",
    [
        ({"x": X, "steps_per_epoch": 2}, "these data have one step per batch; leave out steps_per_epoch"),
        ({"x": Shuffled(), "steps_per_epoch": 2}, "these data have one step per batch; leave out steps_per_epoch"),
        ({"x": X, "shuffle": "batch"}, "shuffle must be True or False; got 'batch'"),
        ({"x": Shuffled(), "y": Y}, "a Shuffled provides targets and weights itself; leave out y"),
        ({"x": iter([X])}, "the length of an epoch of a list_iterator is unknown; give steps_per_epoch"),
    ],
)
def test_errors(given, message):
    with pytest.raises(ValueError, match=f"fit: .*{message}"):
        epochs_of("fit", **given)


def test_fingerprints():
    assert fingerprint({"a": X, "b": None}) == fingerprint({"a": X.copy(), "b": None})
    different = [X, X + 1, X.astype("float32"), X[:, :1], np.array(["a", "b"], object), np.array(["a", "c"], object)]
    assert len(set(map(fingerprint, different))) == len(different)
