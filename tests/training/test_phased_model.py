import functools
import gc
import signal
import weakref

import keras
import numpy as np
import pytest
from keras import ops

from kgen.serializable import serializable
from kgen.training import Phase, PhasedModel
from tests.checks import models
from tests.training import toy

SGD = keras.optimizers.SGD
BACKEND = keras.backend.backend()


def _lines(optimizer="sgd", **kwargs):
    model = models.make(toy.Lines)
    model.compile(optimizer, **kwargs)
    return model


def _one_phase(loss, terms=(), every=1, measures=()):
    """A model of one phase with the given loss, compiled."""

    class OnePhase(PhasedModel):
        def __init__(self):
            super().__init__(seed=0)
            self.line = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            self.built = True

        def phases(self):
            variables = self.line.trainable_variables
            return [Phase("line", lambda x, training: loss(self.line(x)), variables, every, terms, measures)]

    model = OnePhase()
    model.compile("sgd")
    return model


# === What every PhasedModel owes ===
@pytest.mark.parametrize("make_model", [pytest.param(toy.quiet, marks=models.in_ci), toy.quiet_adam])
def test_backends_agree(make_model):
    models.check_backends_agree(make_model, toy.points())


@pytest.mark.backends
def test_resume(tmp_path):
    models.check_resume(toy.noisy, toy.points(), tmp_path)


@pytest.mark.backends
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    models.check_mixed_precision(toy.noisy, toy.points(), policy)


@pytest.mark.backends
def test_evaluation_does_not_change_training():
    models.check_evaluation(toy.noisy, toy.points())


# === Training ===
@pytest.mark.backends
def test_fit_finds_the_line():
    model = _lines({"first": SGD(0.125), "second": keras.optimizers.Adam(0.125)})
    x, y = toy.line_data()
    models.fit(model, (x, y), 5, 30)
    for line in (model.first, model.second):
        kernel, bias = line.get_weights()
        np.testing.assert_allclose(kernel[:, 0], [1.0, -2.0], atol=0.05)
        np.testing.assert_allclose(bias, [0.5], atol=0.05)


def test_names_in_the_history_and_the_results():
    model = toy.noisy()
    names = {"loss", "discriminator_loss", "adversarial", "penalty", "generator_loss"}
    data = toy.points(16)
    history = models.fit(model, data, 8, 1, validation_data=(data,))
    assert set(history.history) == names | {f"val_{name}" for name in names}
    results = model.evaluate(data, batch_size=8, verbose=0, return_dict=True)
    assert set(results) == names
    assert list(model.trackers) == ["loss", "discriminator_loss", "generator_loss", *_terms(model)]
    # A phase's loss is the sum of its terms, and the loss that of all phases.
    np.testing.assert_allclose(results["loss"], results["discriminator_loss"] + results["generator_loss"], rtol=1e-5)
    np.testing.assert_allclose(results["discriminator_loss"], results["adversarial"] + results["penalty"], rtol=1e-5)


def _terms(model):
    return [term for phase in model.phases() for term in phase.terms]


def test_a_single_phase_reports_the_loss():
    model = _one_phase(lambda y: {"big": 2.0 * y[:, 0], "small": 0.5 * y[:, 0]}, terms=("big", "small"))
    x = np.ones((4, 2), "float32")
    logs = model.test_on_batch(x, return_dict=True)
    output = ops.convert_to_numpy(model.line(x))[0, 0]
    assert set(logs) == {"loss", "big", "small"}
    np.testing.assert_allclose(
        [logs["loss"], logs["big"], logs["small"]], np.array([2.5, 2.0, 0.5]) * output, rtol=1e-5
    )


@pytest.mark.backends
@pytest.mark.parametrize("terms", [(), ("big", "small")])
def test_measures_are_reported_and_no_part_of_the_loss(terms):
    def loss(y):
        parts = {"big": 2.0 * y[:, 0], "small": 0.5 * y[:, 0]} if terms else {"loss": 2.5 * y[:, 0]}
        return {**parts, "square": ops.square(y[:, 0]), "rank": ops.ones_like(y[:, 0])}

    model = models.make(lambda: _one_phase(loss, terms, measures=("square", "rank")))
    x = np.float32([[1, 0], [0, 1], [1, 1]])
    y = ops.convert_to_numpy(model.line(x))[:, 0]
    bias = model.line.get_weights()[1]
    logs = model.test_on_batch(x, return_dict=True)
    assert set(logs) == {"loss", *terms, "square", "rank"}
    np.testing.assert_allclose(logs["loss"], 2.5 * y.mean(), rtol=1e-5)
    np.testing.assert_allclose([logs["square"], logs["rank"]], [np.square(y).mean(), 1.0], rtol=1e-5)
    model.reset_metrics()
    assert set(model.train_on_batch(x, return_dict=True)) == set(logs)
    # The slope of the loss alone: 2.5 a unit of bias.
    np.testing.assert_allclose(model.line.get_weights()[1], bias - 0.01 * 2.5, rtol=1e-5)


def test_measures_must_be_those_named():
    for parts in ({}, {"rank": 1, "other": 1}):
        model = _one_phase(lambda y, parts=parts: {"loss": y[:, 0], **{k: y[:, 0] for k in parts}}, measures=("rank",))
        with pytest.raises(ValueError, match=r"the phase declares the terms \['loss'\] and the measures \['rank'\]"):
            model.train_on_batch(np.ones((3, 2), "float32"))


def test_the_mean_of_an_epoch_weighs_every_sample_the_same():
    model = _lines(SGD(0.0))
    x, y = toy.line_data(5)
    history = models.fit(model, (x, y), 4, 1)
    error = np.square(ops.convert_to_numpy(model.first(x))[:, 0] - y)
    np.testing.assert_allclose(history.history["first_loss"], [np.mean(error)], rtol=1e-5)


@pytest.mark.backends
def test_training_of_several_phases_ends_at_nan():
    model, (x, y) = _lines(), toy.line_data()
    model.second.set_weights([np.full((2, 1), np.nan), np.zeros(1)])
    history = models.fit(model, (x, y), 5, 4, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert model.stop_training and history.epoch == [0] and int(model.optimizer.iterations) == 1
    assert np.isfinite(history.history["first_loss"][0]) and np.isnan(history.history["loss"][0])


@pytest.mark.backends
def test_every():
    model = _one_phase(lambda y: y[:, 0], every=3)
    x = np.ones((2, 2), "float32")
    bias = []
    for _ in range(5):
        model.train_on_batch(x)
        bias.append(float(model.line.get_weights()[1][0]))
    np.testing.assert_allclose(bias, [-0.01, -0.01, -0.01, -0.02, -0.02], rtol=1e-5)
    assert int(model.optimizer.iterations) == 5
    assert int(model.optimizer.by_phase["line"].iterations) == 2


@pytest.mark.backends
def test_one_batch_at_a_time():
    x, y = toy.line_data()
    model = _lines(SGD(0.125))
    before = model.test_on_batch(x, y, return_dict=True)
    logs = model.train_on_batch(x, y, return_dict=True)
    assert set(before) == set(logs) == {"loss", "first_loss", "second_loss"}
    model.reset_metrics()
    assert model.test_on_batch(x, y, return_dict=True)["first_loss"] < before["first_loss"]


@pytest.mark.backends
def test_predict():
    model = _lines()
    x, _ = toy.line_data(7)
    expected = ops.convert_to_numpy(model.first(x) + model.second(x))
    np.testing.assert_allclose(model.predict(x, batch_size=3, verbose=0), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(
            {"run_eagerly": True},
            marks=pytest.mark.skipif(BACKEND == "jax", reason="JAX compiles each operation, which takes a minute"),
        ),
        pytest.param(
            {"steps_per_execution": 4},
            marks=pytest.mark.skipif(BACKEND == "torch", reason="Keras has no steps_per_execution on torch"),
        ),
        pytest.param(
            {"jit_compile": True},
            marks=[pytest.mark.slow, pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA on TensorFlow")],
        ),
    ],
    ids=["eagerly", "steps_per_execution", "jit_compile"],
)
@pytest.mark.backends
def test_however_it_is_executed(arguments):
    weights, logs = [], []
    for chosen in ({}, arguments):
        # XLA draws other random numbers than TensorFlow.
        model = models.make(lambda: toy.Toy(noisy="jit_compile" not in arguments))
        model.compile(SGD(0.125), **chosen)
        # Five batches: not a multiple of four.
        history = models.fit(model, toy.points(38), 8, 2)
        weights.append(model.get_weights())
        logs.append(history.history)
    for expected, actual in zip(*weights):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    for name, values in logs[0].items():
        np.testing.assert_allclose(logs[1][name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_after_step_follows_every_step():
    model = toy.noisy()
    models.fit(model, toy.points(20), 8, 1)
    assert float(model.average.updates) == 3


# === Compiling and saving ===
def test_compiling_again():
    model = _lines(SGD(0.125))
    data = toy.line_data()
    models.fit(model, data, 10, 1)
    model.first.trainable = False
    with pytest.raises(ValueError, match="nothing to train"):
        model.compile("sgd")
    model.first.trainable = True
    model.compile(SGD(0.25))
    assert int(model.optimizer.iterations) == 0
    history = models.fit(model, data, 10, 1)
    assert sorted(history.history) == ["first_loss", "loss", "second_loss"]
    assert len(model.trackers) == 3


@pytest.mark.backends
def test_compile_settings_are_saved(tmp_path):
    model = _lines({"second": keras.optimizers.Adam(0.125, beta_1=0.5), "first": SGD(0.25)}, steps_per_execution=1)
    model.compile(model.optimizer, run_eagerly=True, jit_compile=False)
    models.fit(model, toy.line_data(), 10, 1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.run_eagerly, loaded.jit_compile, loaded.seed) == (True, False, 0)
    assert loaded.get_compile_config() == model.get_compile_config()
    assert loaded.optimizer.by_phase["second"].beta_1 == 0.5
    models.assert_same_state(models.state(model), models.state(loaded))
    models.fit(loaded, toy.line_data(), 10, 1)
    loaded.compile("sgd")
    models.fit(loaded, toy.line_data(), 10, 1)


@serializable
class _Chosen(toy.Lines):
    """A `compile` with arguments of its own, and metrics."""

    def compile(self, optimizer="auto", bound=None, layers=(), weights=None, **kwargs):
        config = {"bound": bound, "layers": layers, "weights": weights}
        super().compile(optimizer, config=config, **kwargs)
        # Not tracked by Keras, as the library's models hold such parts in plain objects.
        object.__setattr__(self, "bound", bound)
        self.others, self.by_name = layers, weights

    def use_metrics(self, metrics):
        self.measures = metrics


class _Nameless(keras.metrics.Mean):
    def get_config(self):
        raise ValueError("no config")


@pytest.mark.backends
def test_arguments_of_a_compile_are_saved(tmp_path):
    model = models.make(_Chosen)
    layers = [keras.layers.Rescaling(0.5)]
    metrics = [keras.metrics.Mean(name="mean"), _Nameless(name="nameless")]
    model.compile(SGD(0.25), _Bound(2.0), layers, {"a": 0.5, "b": None}, metrics=metrics, jit_compile=False)
    with pytest.warns(UserWarning, match="The metric nameless is not saved with the model: no config"):
        model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.bound.high, loaded.others[0].scale, loaded.by_name) == (2.0, 0.5, {"a": 0.5, "b": None})
    assert [metric.name for metric in loaded.measures] == ["mean"]
    assert [float(optimizer.learning_rate) for optimizer in loaded.optimizer.optimizers] == [0.25, 0.25]


def test_layers_among_the_arguments_of_a_compile_do_not_belong_to_the_model():
    model, layer = models.make(toy.Lines), keras.layers.Dense(3)
    layer.build((None, 2))
    before = [id(v) for v in model.variables]
    model.compile("sgd", config={"layers": [layer]})
    assert [id(v) for v in model.variables] == before


class _Secret:
    """Has no config."""


@pytest.mark.backends
@pytest.mark.parametrize("kind", ["model", "layer", "in a list", "no config"])
def test_other_models_and_what_has_no_config_are_not_saved(kind, tmp_path):
    model, dense = models.make(_Chosen), keras.layers.Dense(3)
    dense.build((None, 2))
    values = {"model": models.make(toy.Lines), "layer": dense, "in a list": [dense], "no config": _Secret()}
    model.compile("sgd", bound=values[kind], weights={"a": 0.5})
    said = (
        r"^compile\(bound=...\) is not saved with _Chosen. To continue training with it, call "
        r"model.compile\(model.optimizer, bound=...\)"
    )
    with pytest.warns(UserWarning, match=said) as warned:
        model.save(tmp_path / "model.keras")
    assert sum("is not saved with" in str(each.message) for each in warned) == 1
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.compiled and loaded.bound is None and loaded.by_name == {"a": 0.5}


class _Table:
    """A part that learns without Keras: nothing, or two arrays."""

    def __init__(self):
        self.rows, self.scale = None, None

    def save(self, arrays):
        if self.rows is not None:
            arrays |= {"rows": self.rows, "scale": self.scale}

    def load(self, arrays):
        self.rows, self.scale = arrays.get("rows"), arrays.get("scale")


@serializable
class _Learned(toy.Lines):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table, self.other = _Table(), _Table()

    def saved_parts(self):
        return {"table": self.table, "other": self.other}


@pytest.mark.backends
def test_parts_are_saved_with_the_model(tmp_path):
    model = models.make(_Learned)
    model.table.rows, model.table.scale = np.arange(6.0).reshape(2, 3), np.float32([0.5])
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = models.make(_Learned, seed=1)
    again.other.rows = np.ones(2)
    again.load_weights(tmp_path / "model.weights.h5")
    for other in (loaded, again):
        np.testing.assert_array_equal(other.table.rows, model.table.rows)
        np.testing.assert_array_equal(other.table.scale, model.table.scale)
        assert other.other.rows is None
        for expected, found in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_choice_left_open_stays_open_in_the_file():
    assert _lines().get_compile_config()["jit_compile"] == "auto"


@serializable
class _Bound:
    def __init__(self, high=1.0):
        self.high = high


@serializable
class _Parts(PhasedModel):
    """A constructor with arguments of many kinds, and nothing else."""

    def __init__(self, network, blocks, missing=None, heads=None, size=(2, 3), **kwargs):
        super().__init__(**kwargs)
        self.network, self.blocks, self.missing, self.heads, self.size = network, blocks, missing, heads, size
        self.built = True


@pytest.mark.backends
def test_config_is_the_constructors_arguments(tmp_path):
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    heads = {"first": {"bound": _Bound(2.0), "names": ["a", "b"]}, "second": None}
    model = _Parts(network, [keras.layers.Rescaling(0.5), keras.layers.ReLU()], heads=heads, seed=7, name="parts")
    model.save(tmp_path / "model.keras")
    for again in (_Parts.from_config(model.get_config()), keras.saving.load_model(tmp_path / "model.keras")):
        assert (type(again), again.name, again.seed, again.missing) == (_Parts, "parts", 7, None)
        assert tuple(again.size) == (2, 3)
        assert [type(layer) for layer in again.blocks] == [keras.layers.Rescaling, keras.layers.ReLU]
        assert again.blocks[0].scale == 0.5
        assert again.network.layers[0].units == 3
        assert (again.heads["first"]["bound"].high, again.heads["second"]) == (2.0, None)
        assert list(again.heads["first"]["names"]) == ["a", "b"]
    # The last one is that of the file.
    for own, saved in zip(again.network.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(own, saved)


def test_without_compiling(tmp_path):
    model = models.make(toy.Lines)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not loaded.compiled and loaded.metrics == []
    with pytest.raises(ValueError, match="compile"):
        models.fit(loaded, toy.line_data(), 10, 1)


@pytest.mark.backends
@pytest.mark.parametrize("weights_only", [False, True])
def test_checkpoints_hold_all_state(tmp_path, weights_only):
    path = tmp_path / ("model.weights.h5" if weights_only else "model.keras")
    model = toy.noisy()
    checkpoint = keras.callbacks.ModelCheckpoint(path, save_weights_only=weights_only)
    models.fit(model, toy.points(16), 8, 1, callbacks=[checkpoint])
    if weights_only:
        loaded = models.make(toy.noisy, seed=1)
        loaded.load_weights(path)
    else:
        loaded = keras.saving.load_model(path)
    assert len(model._seed_states()) == 3  # training, evaluation, Dropout
    models.assert_same_state(models.state(model), models.state(loaded))


# === Errors ===
def test_what_has_no_meaning_is_refused():
    x, y = toy.line_data()
    model = _lines()
    with pytest.raises(TypeError, match="Lines.compile: loss, loss_weights has no meaning"):
        model.compile("sgd", loss="mse", metrics=["mae"], loss_weights=[1.0])
    with pytest.raises(TypeError, match="Lines.compile: this model supports no metrics; leave them out"):
        model.compile("sgd", metrics=["mae"])
    model.compile("sgd", metrics=[])
    refused = "Lines: sample_weight and class_weight have no meaning for this model; leave them out"
    with pytest.raises(ValueError, match=refused):
        model.fit(x, y, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(ValueError, match=refused):
        model.fit(x, y, sample_weight=np.ones(20), verbose=0)
    for call in (model.train_on_batch, model.test_on_batch, model.evaluate):
        with pytest.raises(ValueError, match=refused):
            call(x, y, sample_weight=np.ones(20))


def test_phases_must_be_defined():
    class Nothing(PhasedModel):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing must define phases\(\) to say what it trains"):
        Nothing().compile()


@pytest.mark.parametrize("seed", [1.0, "1", True, np.float32(1), 2**31])
def test_seed_must_be_an_integer(seed):
    with pytest.raises(ValueError, match="Toy: seed must be an integer from .*; got"):
        toy.Toy(seed=seed)


def test_seed_may_be_a_numpy_integer():
    assert type(toy.Toy(seed=np.int64(3)).seed) is int


@pytest.mark.backends
@pytest.mark.parametrize("reduce", [ops.mean, lambda y: y], ids=["scalar", "matrix"])
def test_a_loss_gives_one_value_per_sample(reduce):
    with pytest.raises(ValueError, match=r"loss of phase 'line' must give one value per sample, shape \(batch,\)"):
        _one_phase(reduce).train_on_batch(np.ones((3, 2), "float32"))


def test_terms_must_be_those_named():
    model = _one_phase(lambda y: {"one": y[:, 0], "three": y[:, 0]}, terms=("one", "two"))
    with pytest.raises(ValueError, match=r"returned \['one', 'three'\]; the phase declares the terms \['one', 'two'\]"):
        model.train_on_batch(np.ones((3, 2), "float32"))


def test_trainable_changed_after_compile():
    model = _lines()
    model.first.trainable = False
    with pytest.raises(ValueError, match=r"phases train 4 variables, but 2 are trainable"):
        models.fit(model, toy.line_data(), 10, 1)


def test_a_variable_that_no_phase_trains():
    class Forgetful(toy.Lines):
        def phases(self):
            return super().phases()[:1]

    model = Forgetful()
    model.compile("sgd")
    with pytest.raises(ValueError, match="trainable. Each of these must belong to one phase"):
        models.fit(model, toy.line_data(), 10, 1)


# === Ctrl-C ===
class Interrupting(keras.utils.PyDataset):
    """Lines in batches, with a Ctrl-C while one is read: on JAX within a step, in which variables have no values."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == self.at:
            signal.raise_signal(signal.SIGINT)
        x, y = toy.line_data()
        return x[index::4], y[index::4]


@pytest.mark.backends
@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize("validating", [True, False])
def test_ctrl_c_leaves_a_model_that_goes_on(request, validating, at):
    # Processes that a shell starts in the background ignore it.
    handler = signal.default_int_handler
    request.addfinalizer(functools.partial(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, handler)))
    model = _lines(SGD(0.1))
    x, y = toy.line_data()
    model.fit(x, y, batch_size=5, verbose=0)
    before = int(model.optimizer.iterations)
    with pytest.raises(KeyboardInterrupt):
        if validating:
            model.fit(x, y, batch_size=5, verbose=0, validation_data=Interrupting(at))
        else:
            model.fit(Interrupting(at), verbose=0, shuffle=False)
    assert signal.getsignal(signal.SIGINT) is handler
    done = int(model.optimizer.iterations) - before
    assert done <= 4
    model.fit(x, y, batch_size=5, verbose=0, validation_data=(x, y))
    assert int(model.optimizer.iterations) == before + done + 4
    assert np.isfinite(model.get_weights()[0]).all()


# === Files ===
@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_what_fails_half_way_leaves_the_older_file(tmp_path, monkeypatch, name):
    model = _lines(SGD(0.1))
    file = tmp_path / name
    save = model.save if name.endswith(".keras") else model.save_weights
    save(file)
    before = file.read_bytes()

    def full(self, store):
        store["some"] = np.ones(3)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(toy.Lines, "save_own_variables", full)
        with pytest.raises(OSError, match="No space left"):
            save(file)
    assert [path.name for path in tmp_path.iterdir()] == [name] and file.read_bytes() == before
    save(str(file))
    with pytest.raises(FileNotFoundError, match="No such directory: '.*/none'"):
        save(tmp_path / "none" / name)


def test_other_ways_to_save_are_those_of_keras(tmp_path, monkeypatch):
    model = _lines(SGD(0.1))
    model.save(tmp_path / "folder", zipped=False)
    assert (tmp_path / "folder" / "config.json").exists()
    model.save_weights(tmp_path / "sharded.weights.json", max_shard_size=1.0)
    assert (tmp_path / "sharded.weights.json").exists()
    asked = []
    monkeypatch.setattr("builtins.input", lambda message: asked.append(message) or "n")
    model.save(tmp_path / "model.keras")
    before = (tmp_path / "model.keras").read_bytes()
    model.save(tmp_path / "model.keras", overwrite=False)
    assert len(asked) == 1 and (tmp_path / "model.keras").read_bytes() == before


@pytest.mark.backends
def test_a_model_that_was_trained_can_be_freed():
    model = toy.Lines()
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(*toy.line_data(8), verbose=0)
    seen = weakref.ref(model)
    del model
    gc.collect()
    assert seen() is None
