import json

import keras
import numpy as np
import pytest

from kgen.callbacks import EvaluateSamples
from kgen.metrics import (
    ClassifierScore,
    DualFeatureExtractor,
    FeatureExtractor,
    FeatureMetric,
    FrechetDistance,
    KernelDistance,
    PrecisionRecall,
    ReconstructionError,
    TextAlignment,
    reference_statistics,
)
from tests.metrics import measures
from tests.models import tiny, tiny_text

PROMPTS = [f"a {color} picture" for color in tiny_text.COLORS]


class Scripted(FeatureMetric):
    """Measures what it was told to."""

    needs_real = False

    def __init__(self, values, way):
        self.measures = {"scripted": way}
        super().__init__("pixels", name="scripted")
        self.values = list(values)

    def create(self, dim):
        pass

    def update_features(self, real, generated):
        pass

    def compute(self):
        return [self.values.pop(0)]


def extractor():
    return FeatureExtractor(measures.small_network())


def distance(**options):
    return FrechetDistance(extractor(), **options)


def trained_vae(**options):
    """A VAE that counts as trained."""
    model = tiny.vae(**options)
    model.average.updates.assign(1.0)
    return model


def rehearse(callback, model, epochs, before=0):
    """Calls a callback as `fit` does, with epochs that do nothing but number the first weights; returns their logs."""
    callback.set_model(model)
    callback.set_params({"epochs": epochs})
    callback.on_train_begin()
    history = {}
    model.stop_training = False
    for epoch in range(before, epochs):
        callback.on_epoch_begin(epoch)
        variable = model.trainable_variables[0]
        variable.assign(keras.ops.full(variable.shape, epoch + 1.0))
        history[epoch + 1] = {}
        callback.on_epoch_end(epoch, history[epoch + 1])
    callback.on_train_end()
    return history


def epoch_of(file):
    """The epoch whose weights are in a file that `rehearse` had written."""
    model = tiny.vae()
    model.load_weights(file)
    return int(keras.ops.convert_to_numpy(model.trainable_variables[0]).ravel()[0])


def keep(values, way, path, epochs=None, before=0):
    callback = EvaluateSamples(Scripted(values, way), monitor="scripted", filepath=path, num_images=2)
    rehearse(callback, trained_vae(), epochs or len(values), before)
    return json.loads(path.with_name(path.name + ".json").read_text())


# === The numbers ===
@pytest.mark.backends
def test_while_a_model_trains(tmp_path):
    images = tiny.pictures()
    model = tiny.vae()
    model.compile(keras.optimizers.SGD(1e-3))
    seen = []
    later = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(dict(logs)))
    file = tmp_path / "best.weights.h5"
    metrics = [distance(), KernelDistance(extractor(), subsets=2, subset_size=8)]
    watch = EvaluateSamples(metrics, images, every=2, num_images=12, monitor="frechet_distance_small", filepath=file)
    history = model.fit(images, batch_size=8, epochs=5, verbose=0, callbacks=[watch, later]).history
    keys = ["frechet_distance_small", "kernel_distance_small", "kernel_distance_std_small"]
    assert [[key in logs for key in keys] for logs in seen] == [[epoch in (2, 4, 5)] * 3 for epoch in range(1, 6)]
    assert all(isinstance(history[key][0], float) and len(history[key]) == 3 for key in keys)
    assert set(seen[0]) == set(seen[1]) - set(keys) != set()
    # The last number is of the model as it is now, and the best is in the file.
    again = distance()
    again.update_state(images, model.generate(12, seed=0))
    assert history[keys[0]][-1] == pytest.approx(float(again.result()), rel=1e-6)
    best = int(np.argmin(history[keys[0]]))
    assert json.loads((tmp_path / "best.weights.h5.json").read_text()) == {
        "monitor": keys[0],
        "value": history[keys[0]][best],
        "epoch": (2, 4, 5)[best],
    }
    kept = tiny.vae(seed=5)
    kept.load_weights(file)
    again.reset_state()
    again.update_state(images, kept.generate(12, seed=0))
    assert float(again.result()) == pytest.approx(min(history[keys[0]]), rel=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.weights.h5", "best.weights.h5.json"]


@pytest.mark.backends
@pytest.mark.parametrize("make", [tiny.gan, tiny.vae])
def test_training_goes_on_as_if_nothing_were_measured(make, tmp_path):
    images = tiny.pictures()

    def weights(*callbacks):
        keras.utils.set_random_seed(0)
        model = make()
        model.compile()
        losses = model.fit(images, batch_size=8, epochs=3, verbose=0, callbacks=list(callbacks)).history
        return [keras.ops.convert_to_numpy(v) for v in model.variables], losses

    name = distance().name
    watch = EvaluateSamples(
        distance(), images, num_images=12, monitor=name, filepath=tmp_path / "best.keras", batch_size=5
    )
    (alone, losses), (watched, watched_losses) = weights(), weights(watch)
    for a, b in zip(alone, watched, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(watched_losses.pop(name)) == 3 and watched_losses == losses


def test_every_and_the_last_epoch():
    callback = EvaluateSamples(Scripted(range(9), "min"), every=3, num_images=1)
    history = rehearse(callback, trained_vae(), 7)
    assert {epoch: logs for epoch, logs in history.items() if logs} == {
        3: {"scripted": 0.0},
        6: {"scripted": 1.0},
        7: {"scripted": 2.0},
    }


def test_the_last_epoch_of_a_run_that_is_stopped():
    images = tiny.pictures()
    model = tiny.vae()
    model.compile()
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1))
    watch = EvaluateSamples(Scripted(range(9), "min"), every=10, num_images=1)
    history = model.fit(images, epochs=9, verbose=0, callbacks=[stop, watch]).history
    assert history["scripted"] == [0.0]


def test_the_last_epoch_of_a_run_that_a_later_callback_stops(tmp_path):
    model = tiny.vae()
    model.compile()
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1))
    best = {"monitor": "scripted", "filepath": tmp_path / "best.weights.h5"}
    watch = EvaluateSamples(script := Scripted(range(9), "min"), every=10, num_images=1, **best)
    model.fit(tiny.pictures(), epochs=9, verbose=0, callbacks=[watch, stop])
    assert script.values[0] == 1 and watch.best == 0.0 and (tmp_path / "best.weights.h5").is_file()
    # An epoch that was measured is not measured again.
    watch = EvaluateSamples(script := Scripted(range(9), "min"), every=2, num_images=1)
    model.fit(tiny.pictures(), epochs=9, verbose=0, callbacks=[watch, stop])
    assert script.values[0] == 1


def test_keras_prints_the_numbers(capsys):
    model = tiny.vae()
    model.compile()
    model.fit(
        tiny.pictures(), epochs=2, verbose=2, callbacks=[EvaluateSamples(Scripted([3, 0.25], "min"), num_images=1)]
    )
    assert "scripted: 3.0" in (out := capsys.readouterr().out) and "scripted: 0.25" in out


def test_each_epoch_is_measured_anew():
    images, metric = tiny.pictures(), distance()
    metric.update_state(images[:8], images[8:])
    history = rehearse(EvaluateSamples(metric, images, num_images=12), model := trained_vae(), 2)
    for epoch, logs in history.items():
        variable = model.trainable_variables[0]
        variable.assign(keras.ops.full(variable.shape, float(epoch)))
        alone = distance()
        alone.update_state(images, model.generate(12, seed=0))
        assert logs == {metric.name: pytest.approx(float(alone.result()), rel=1e-9)}


def test_the_seed_says_which_images():
    images, model = tiny.pictures(), trained_vae()

    def measured(seed):
        return rehearse(EvaluateSamples(distance(), images, num_images=12, seed=seed), model, 1)[1]

    assert measured(0) == measured(0) != measured(1)


def test_few_images_at_once():
    images, model = tiny.pictures(), trained_vae()
    sizes = []
    run = model.sampler.run
    model.sampler.run = lambda inputs, batch_size, verbose: (
        sizes.append((batch_size, verbose)) or run(inputs, batch_size, verbose)
    )
    rehearse(EvaluateSamples(distance(), images, num_images=12, batch_size=5), model, 1)
    assert sizes == [(5, 0)]


# === What models draw from ===
@pytest.mark.backends
def test_classes_in_turn():
    model, images = trained_vae(num_classes=tiny.CLASSES), tiny.pictures()
    logs = rehearse(EvaluateSamples(distance(), images, num_images=10), model, 1)[1]
    expected = distance()
    expected.update_state(images, model.generate(labels=np.arange(10) % tiny.CLASSES, seed=0))
    assert logs == {expected.name: pytest.approx(float(expected.result()), rel=1e-6)}


@pytest.fixture
def text_model():
    model = tiny_text.model()
    model.average.updates.assign(1.0)
    return model


def color_encoder():
    network = keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()])
    colors = [*tiny_text.COLORS][:3]
    return DualFeatureExtractor(
        network, lambda texts: np.array([[c in text for c in colors] for text in texts]), name="colors"
    )


@pytest.mark.backends
@pytest.mark.filterwarnings("ignore:.*recall is measured among")
def test_prompts_and_their_images(text_model):
    real = tiny_text.pictures(4)[0]
    metrics = [TextAlignment(color_encoder()), ReconstructionError(), FrechetDistance(extractor())]
    with pytest.warns(UserWarning, match="4 .* for features of length 6"):
        logs = rehearse(EvaluateSamples(metrics, real, PROMPTS), text_model, 1)[1]
    generated = text_model.generate(PROMPTS, seed=0)
    error, alignment = ReconstructionError(), TextAlignment(color_encoder())
    error.update_state(real, generated)
    alignment.update_state(PROMPTS, generated)
    expected = {**alignment.result(), **error.result()}
    assert {key: logs[key] for key in expected} == pytest.approx(expected, rel=1e-5)
    assert list(logs) == [*expected, "frechet_distance_small"]


def test_of_equal_prompts_the_first_is_measured(text_model):
    asked = [PROMPTS[0], PROMPTS[1], PROMPTS[0], PROMPTS[2]]
    watch = EvaluateSamples(TextAlignment(color_encoder(), among=3), prompts=asked)
    watch.set_model(text_model)
    alone = TextAlignment(color_encoder(), among=3)
    alone.update_state(PROMPTS[:3], text_model.generate(asked, seed=0)[[0, 1, 3]])
    assert watch.measure() == pytest.approx(alone.results())


def test_no_bars_between_those_of_the_training(monkeypatch, capsys):
    monkeypatch.setattr("kgen.progress._PATIENCE", -1.0)
    watch = EvaluateSamples(distance(), tiny.pictures(100), num_images=100, batch_size=8)
    watch.set_model(trained_vae())
    watch.measure()
    assert capsys.readouterr().out == ""


def test_texts_need_no_real_images(text_model):
    metric = TextAlignment(color_encoder(), among=4)
    logs = rehearse(EvaluateSamples(metric, prompts=PROMPTS), text_model, 1)[1]
    assert np.isfinite(logs["cosine_colors"])


@pytest.mark.filterwarnings("ignore:.*4 .* for features")
def test_texts_beside_any_number_of_real_images(text_model):
    metrics = [TextAlignment(color_encoder(), among=4), distance()]
    logs = rehearse(EvaluateSamples(metrics, tiny_text.pictures(16)[0], PROMPTS), text_model, 1)[1]
    assert len(logs) == 4 and np.isfinite(list(logs.values())).all()


@pytest.mark.backends
def test_a_reference_in_place_of_images(tmp_path):
    images, model = tiny.pictures(), trained_vae()
    reference = reference_statistics(images, extractor(), file=tmp_path / "real.npz")
    probabilities = keras.Sequential([extractor().network, keras.layers.Softmax()], name="sorts")
    metrics = [distance(reference=reference), PrecisionRecall(extractor(), reference=reference)]
    metrics.append(ClassifierScore(probabilities))
    logs = rehearse(EvaluateSamples(metrics, num_images=12), model, 1)[1]
    with_real = [distance(), PrecisionRecall(extractor()), ClassifierScore(probabilities)]
    expected = rehearse(EvaluateSamples(with_real, images, num_images=12), model, 1)[1]
    assert logs == pytest.approx(expected, rel=1e-4) and len(logs) == 4


# === The best weights ===
@pytest.mark.backends
@pytest.mark.parametrize("way, best", [("min", 3), ("max", 2)])
@pytest.mark.parametrize("ending", ["weights.h5", "keras"])
def test_the_best_are_kept(tmp_path, way, best, ending):
    values = [2.0, 5.0, 1.0, 4.0]
    path = tmp_path / "new" / f"best.{ending}"
    record = keep(values, way, path)
    assert record == {"monitor": "scripted", "value": values[best - 1], "epoch": best}
    assert epoch_of(path) == best
    if ending == "keras":
        whole = keras.saving.load_model(path)
        assert (keras.ops.convert_to_numpy(whole.trainable_variables[0]) == best).all()


def test_the_first_of_equals_is_kept(tmp_path):
    assert keep([2.0, 2.0], "min", tmp_path / "best.weights.h5")["epoch"] == 1


@pytest.mark.parametrize("way", ["min", "max"])
def test_what_is_not_finite_is_never_best(tmp_path, way):
    path = tmp_path / "best.weights.h5"
    values = [float("nan"), float("inf"), 3.0, float("nan"), -float("inf")]
    assert keep(values, way, path) == {"monitor": "scripted", "value": 3.0, "epoch": 3} and epoch_of(path) == 3


def test_nothing_finite_is_nothing_written(tmp_path):
    path = tmp_path / "best.weights.h5"
    with pytest.raises(FileNotFoundError):
        keep([float("nan")], "min", path)
    assert list(tmp_path.iterdir()) == []


# === A run that goes on ===
def test_a_resumed_run_knows_the_best_so_far(tmp_path):
    path = tmp_path / "best.weights.h5"
    keep([1.0, 3.0], "min", path)
    assert keep([2.0, 1.5], "min", path, epochs=4, before=2) == {"monitor": "scripted", "value": 1.0, "epoch": 1}
    assert epoch_of(path) == 1
    assert keep([2.0, 0.5], "min", path, epochs=6, before=4)["epoch"] == 6
    assert epoch_of(path) == 6


def test_a_run_that_goes_on_from_before_its_best(tmp_path):
    """Killed after its best epoch was kept, and before the training state was."""
    path = tmp_path / "best.weights.h5"
    keep([4.0, 3.0, 1.0], "min", path)
    assert keep([2.0], "min", path, epochs=3, before=2)["value"] == 1.0
    assert epoch_of(path) == 3


def test_a_new_run_begins_anew(tmp_path):
    path = tmp_path / "best.weights.h5"
    keep([1.0, 3.0], "min", path)
    assert keep([2.0], "min", path)["value"] == 2.0


def test_another_monitor_or_lost_weights_are_no_best(tmp_path):
    path = tmp_path / "best.weights.h5"
    keep([1.0], "min", path)
    path.unlink()
    assert keep([2.0], "min", path, epochs=2, before=1)["value"] == 2.0
    record = path.with_name(path.name + ".json")
    record.write_text(record.read_text().replace("scripted", "another"))
    assert keep([3.0], "min", path, epochs=3, before=2)["value"] == 3.0


def test_fit_twice_is_one_training(tmp_path):
    path = tmp_path / "best.weights.h5"
    callback = EvaluateSamples(Scripted([1.0, 2.0, 3.0], "min"), monitor="scripted", filepath=path, num_images=1)
    model = trained_vae()
    rehearse(callback, model, 2)
    rehearse(callback, model, 1)
    assert callback.best == 1.0
    callback.measures[0].values = [9.0]
    rehearse(callback, trained_vae(), 1)
    assert callback.best == 9.0


@pytest.mark.parametrize("ending", ["weights.h5", "keras"])
def test_half_a_file_is_never_seen(tmp_path, monkeypatch, ending):
    path = tmp_path / f"best.{ending}"
    keep([2.0], "min", path)
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    assert len(before) == 2

    def disk_full(self, path, **kwargs):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(keras.Model, "save_weights", disk_full)
    monkeypatch.setattr(keras.Model, "save", disk_full)
    with pytest.raises(OSError, match="No space left"):
        keep([1.0], "min", path)
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before


# === TensorBoard ===
def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    callback = EvaluateSamples(Scripted([0.5, 0.25], "min"), every=2, num_images=1, tensorboard=tmp_path / "logs")
    rehearse(callback, trained_vae(), 4)
    (log,) = (tmp_path / "logs").iterdir()
    events = [(event.step, value) for event in EventFileLoader(str(log)).Load() for value in event.summary.value]
    assert [(step, value.tag) for step, value in events] == [(2, "scripted"), (4, "scripted")]
    assert [float(tf.make_ndarray(value.tensor)) for _, value in events] == [0.5, 0.25]


# === Errors, before anything is trained ===
@pytest.mark.parametrize("name, wrong", [("every", 0), ("num_images", 1.5), ("batch_size", True)])
def test_numbers_out_of_range(name, wrong):
    with pytest.raises(ValueError, match=f"EvaluateSamples: {name} must be an integer of at least 1; got {wrong}"):
        EvaluateSamples(distance(), tiny.pictures(), **{name: wrong})


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"metrics": 3}, TypeError, "metrics must be from kgen.metrics; got 3"),
        ({"metrics": [keras.metrics.Mean()]}, TypeError, "metrics must be from kgen.metrics; got <Mean"),
        ({"metrics": []}, ValueError, "give at least one metric"),
        ({"metrics": lambda: [distance(), distance()]}, ValueError, "each with a different name; got .'frechet"),
        ({"seed": None}, ValueError, "seed must be an integer"),
        ({"real": None}, ValueError, "give real images, or metrics with a reference"),
        ({"real": [1, 2]}, TypeError, r"real must be a uint8 array .*; got list"),
        ({"real": tiny.pictures() / 255}, TypeError, r"real must be a uint8 array .*; got float64 of shape \(16, 8"),
        ({"real": tiny.pictures()[0]}, TypeError, r"real must be a uint8 array .*; got uint8 of shape \(8, 8, 3\)"),
        ({"prompts": "a cat"}, TypeError, "captions must be a list of strings"),
        ({"prompts": [""]}, ValueError, "caption 0 is empty"),
        ({"metrics": ReconstructionError}, ValueError, "a paired metric needs prompts"),
        ({"metrics": lambda: TextAlignment(color_encoder()), "real": None}, ValueError, "paired metric needs prompts"),
        (
            {"metrics": ReconstructionError, "prompts": ["a", "b"]},
            ValueError,
            "reconstruction_error needs a real image for each of the 2 prompts; got 16",
        ),
        ({"monitor": "loss", "filepath": "best.keras"}, ValueError, "monitor must be one of .'frechet.*; got 'loss'"),
        ({"monitor": "frechet_distance_small"}, ValueError, "give monitor and filepath together, or neither"),
        ({"filepath": "best.keras"}, ValueError, "give monitor and filepath together, or neither"),
        (
            {"monitor": "frechet_distance_small", "filepath": "best.h5"},
            ValueError,
            "filepath must end in .weights.h5 or .keras; got 'best.h5'",
        ),
    ],
)
def test_bad_arguments(options, error, words):
    metrics = options.get("metrics", distance)
    options = {"real": tiny.pictures(), **options, "metrics": metrics() if callable(metrics) else metrics}
    with pytest.raises(error, match=f"EvaluateSamples: .*{words}"):
        EvaluateSamples(**options)


def test_prompts_go_with_a_model_of_text(text_model):
    with pytest.raises(ValueError, match="EvaluateSamples: VAE takes no prompts; leave them out"):
        rehearse(EvaluateSamples(distance(), tiny.pictures(), ["a cat"]), trained_vae(), 1)
    with pytest.raises(ValueError, match=r"EvaluateSamples: TextToImage draws from prompts; give prompts=\[\.\.\.\]"):
        rehearse(EvaluateSamples(distance(), tiny_text.pictures()[0]), text_model, 1)


def test_a_model_that_draws_nothing():
    with pytest.raises(TypeError, match="the model must be a kgen GAN, VAE or TextToImage; got Sequential"):
        rehearse(EvaluateSamples(distance(), tiny.pictures()), keras.Sequential(), 1)


def test_sizes_that_do_not_match(tmp_path):
    model, large = trained_vae(), measures.images(12)[0]
    with pytest.raises(ValueError, match=r"real images must have the model's image shape, \(8, 8, 3\); got \(16, 16"):
        rehearse(EvaluateSamples(distance(), large), model, 1)
    reference = reference_statistics(large, extractor(), file=tmp_path / "real.npz")
    with pytest.raises(ValueError, match=r"the reference has .* of shape \(16, 16, 3\); got \(8, 8, 3\)"):
        rehearse(EvaluateSamples(distance(reference=reference)), model, 1)


def test_a_metric_of_features_alone():
    with pytest.raises(ValueError, match="FrechetDistance: .* needs a feature_extractor"):
        rehearse(EvaluateSamples(FrechetDistance(), tiny.pictures()), trained_vae(), 1)


def test_a_file_that_cannot_be_written_is_said_before_training(tmp_path):
    (tmp_path / "file").write_text("x")
    path = tmp_path / "file" / "best.weights.h5"
    callback = EvaluateSamples(Scripted([1.0], "min"), monitor="scripted", filepath=path, num_images=1)
    callback.set_model(tiny.vae())
    with pytest.raises(OSError, match="^EvaluateSamples: filepath: '.*' cannot be written"):
        callback.on_train_begin()
