import contextlib
import warnings

import keras
import numpy as np
import pytest
from keras import ops

from kgen.callbacks import Backup
from kgen.data import CaptionedImages
from kgen.models import TextToImage
from kgen.objectives import ELBO
from kgen.text import CaptionFeatures
from tests.checks import models as checks
from tests.checks.processes import in_new_process
from tests.models import tiny_text

pytestmark = pytest.mark.backends
pytest.importorskip("tensorflow_text")


@pytest.fixture(scope="module")
def untrained():
    model = tiny_text.model()
    model.compile()
    return model


@pytest.fixture(scope="module")
def trained():
    """A model that has learned its four colours."""
    keras.utils.set_random_seed(0)
    model = tiny_text.model(caption_dropout=0.1)
    model.compile(keras.optimizers.Adam(5e-3))
    images, captions = tiny_text.pictures(16)
    history = model.fit(images, captions, batch_size=8, epochs=100, verbose=0)
    model.losses_seen = [float(loss) for loss in history.history["loss"]]
    return model


def error(images):
    """Mean distance of generated pictures from the colour they were asked for, in grey levels."""
    wanted = np.array([tiny_text.COLORS[name] for name in ("red", "blue")])[:, None, None]
    return np.abs(images.astype(float) - wanted).mean()


# === Learning and drawing ===
def test_it_learns_what_the_captions_say(trained):
    # The best epoch: one in which several captions were withheld costs much more.
    # What not even a perfect reconstruction lowers is left out.
    least = np.prod(tiny_text.SHAPE) * np.log(0.5 * np.sqrt(2 * np.pi))
    assert min(trained.losses_seen) - least < 0.1 * (trained.losses_seen[0] - least)
    assert error(trained.generate(["a red picture", "a blue sheet of paper"], seed=0)) < 60


def test_one_string_gives_one_picture_and_a_list_gives_a_batch(trained):
    one = trained.generate("a red picture", seed=0)
    many = trained.generate(["a red picture", "a blue picture"], num_images=2, seed=0)
    assert one.shape == tiny_text.SHAPE and one.dtype == np.uint8
    assert many.shape == (4, *tiny_text.SHAPE) and many.dtype == np.uint8
    assert trained.generate("a red picture", num_images=2, seed=0).shape == (2, *tiny_text.SHAPE)


def test_a_picture_is_the_same_alone_and_in_any_batch():
    model = tiny_text.model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prompts = ["a red picture", "a blue picture", "a green picture", "a white picture", "a red picture"]
        batch = model.generate(prompts, seed=[5, 6, 7, 0, 6]).astype(int)
        for batch_size in (1, 2, 3):
            again = model.generate(prompts, seed=[5, 6, 7, 0, 6], batch_size=batch_size)
            assert np.abs(again - batch).max() <= 1
        for i, seed in enumerate([5, 6, 7, 0, 6]):
            assert np.abs(model.generate(prompts[i], seed=seed) - batch[i]).max() <= 1
        assert not np.array_equal(model.generate("a red picture", seed=0), model.generate("a red picture", seed=1))
        assert not np.array_equal(model.generate("a red picture"), model.generate("a red picture"))


def test_generate_uses_the_averaged_weights(trained):
    before = trained.generate("a red picture", seed=0)
    live = trained.generator
    saved = live.get_weights()
    live.set_weights([np.zeros_like(weight) for weight in saved])
    assert np.array_equal(trained.generate("a red picture", seed=0), before)
    live.set_weights(saved)


def test_an_untrained_model_says_so(untrained):
    with pytest.warns(UserWarning, match="not been trained"):
        tiny_text.model().generate("a red picture", seed=0)


def test_batches_of_any_size_are_compiled_once(tensorflow_backend):
    model = tiny_text.model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traces = []
        draw = model.sampler.draw
        model.sampler.draw = lambda inputs: traces.append(1) or draw(inputs)
        for count in (1, 2, 5, 8):
            model.generate(["a red picture"] * count, seed=0)
    assert len(traces) == 1


def test_batches_of_any_size_give_no_warning_of_retracing(tensorflow_backend, caplog, monkeypatch):
    import tensorflow as tf
    from tensorflow.python.eager.polymorphic_function import polymorphic_function

    # TensorFlow counts by the id of a function, which may have been that of another test's.
    detectors = polymorphic_function._FrequentTracingDetectorManager()
    monkeypatch.setattr(polymorphic_function, "_frequent_tracing_detector_manager", detectors)
    model = tiny_text.model()
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for count in range(1, 18):
                model.generate(["a", "a a"] * count, seed=0, batch_size=count)
                model.generate([f"{'a ' * (i % 6 + 1)}" for i in range(count)], seed=0, batch_size=1 + count // 2)
    finally:
        logger.removeHandler(caplog.handler)
    assert [record for record in caplog.records if "retracing" in record.getMessage()] == []


# === What fit takes ===
def test_every_form_of_the_same_data_trains_the_same():
    images, captions = tiny_text.pictures(8)
    first = [each[0] for each in captions]
    forms = {
        "arrays": (images, first),
        "loaded": (CaptionedImages(images, first),),
        "floats": (images.astype("float32") / 127.5 - 1.0, first),
    }
    losses = {}
    for name, data in forms.items():
        model = checks.make(tiny_text.compiled)
        losses[name] = model.fit(*data, batch_size=4, epochs=1, shuffle=False, verbose=0).history["loss"][0]
    np.testing.assert_allclose(list(losses.values()), losses["arrays"], rtol=1e-4)


def test_the_range_of_floats_is_that_of_all_pictures():
    images, captions = tiny_text.pictures(8)
    floats = images.astype("float32") / 255.0
    floats[-1] = -1.0  # the only picture that shows that black is -1
    model = checks.make(tiny_text.compiled)
    model.fit(floats, captions, batch_size=4, shuffle=False, verbose=0)
    assert model.image_input.float_range == (-1, 1)
    model.train_on_batch(floats[:4], captions[:4])
    assert model.image_input.float_range == (-1, 1)


def test_cached_features_train_as_captions_do():
    images, captions = tiny_text.pictures(8)
    first = [each[0] for each in captions]
    model = checks.make(tiny_text.compiled)
    loss = model.fit(images, first, batch_size=4, shuffle=False, verbose=0).history["loss"]
    other = checks.make(tiny_text.compiled)
    table = CaptionFeatures(other.text_encoder, first)
    other.image_input.set_standards(table, first)
    features = {"images": images, **table.gather(table.index(first))}
    np.testing.assert_allclose(other.fit(features, batch_size=4, shuffle=False, verbose=0).history["loss"], loss, 1e-4)


def test_a_dataset_of_strings(untrained):
    pytest.importorskip("tensorflow")
    images, captions = tiny_text.pictures(8)
    data = CaptionedImages(images, captions)
    model = checks.make(tiny_text.compiled)
    history = model.fit(data.as_dataset(batch_size=4), epochs=2, validation_data=data, verbose=0).history
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["val_loss"]).all()
    assert int(model.optimizer.iterations) == 4


def test_features_are_kept_in_a_file(tmp_path):
    images, captions = tiny_text.pictures(4)
    model = checks.make(tiny_text.compiled)
    model.fit({"images": images, "captions": captions}, caption_cache=tmp_path / "features", verbose=0)
    assert list((tmp_path / "features").iterdir())


def test_verbose_0_hides_the_progress_of_captions_too(capsys, monkeypatch):
    monkeypatch.setattr("kgen.progress._PATIENCE", 0.0)
    images, _ = tiny_text.pictures(4)
    model = checks.make(tiny_text.compiled)

    def prior_data(*data, verbose):
        model.image_input.opened_arrays("fit_prior", *data, 4, None, None, verbose)

    for work in (model.fit, model.evaluate, prior_data):
        for verbose, shown in ((0, False), (2, True)):
            # More than are encoded at once, and new ones each time.
            captions = [[f"{work.__name__} {verbose} {i} {j}" for j in range(150)] for i in range(4)]
            work(images, captions, verbose=verbose)
            assert ("caption" in capsys.readouterr().out) == shown, (work, verbose)


def test_train_on_batch_and_evaluate():
    images, captions = tiny_text.pictures(4)
    model = checks.make(tiny_text.compiled)
    before = model.evaluate(images, captions, verbose=0, return_dict=True)
    logs = model.train_on_batch(images, captions, return_dict=True)
    assert set(before) == set(logs) == {"loss", "reconstruction", "kl", "pixel_error", "active_units"}
    assert int(model.optimizer.iterations) == 1
    assert np.isfinite(list(model.test_on_batch(images, captions, return_dict=True).values())).all()


@pytest.mark.parametrize("kind", ["gan", "vae_gan"])
def test_the_other_objectives(kind):
    images, captions = tiny_text.pictures(4)
    model = tiny_text.model(kind)
    model.compile(penalties=[])
    history = model.fit(images, captions, batch_size=4, verbose=0).history
    assert "discriminator_loss" in history and np.isfinite([value[0] for value in history.values()]).all()


def test_a_trainable_encoder_learns_and_a_frozen_one_does_not():
    images, captions = tiny_text.pictures(4)
    for trainable in (False, True):
        model = tiny_text.model(trainable=trainable)
        model.compile()
        before = model.text_encoder.backbone.get_weights()
        model.fit(images, captions, batch_size=4, epochs=2, verbose=0)
        after = model.text_encoder.backbone.get_weights()
        assert any(not np.array_equal(a, b) for a, b in zip(before, after)) == trainable


# === Bad input ===
@pytest.mark.parametrize(
    ("prompts", "kind", "said"),
    [
        ([], ValueError, "TextToImage.generate"),
        ("  ", ValueError, "empty"),
        (["a red picture", ""], ValueError, "empty"),
        ([3], TypeError, "int"),
        (None, TypeError, "got None"),
    ],
)
def test_prompts_that_are_none(untrained, prompts, kind, said):
    with pytest.raises(kind, match=said):
        untrained.generate(prompts)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"num_images": 0}, "num_images"),
        ({"seed": 2**40}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"seed": [1, 2]}, "one seed"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_arguments_of_generate(untrained, kwargs, said):
    with pytest.raises(ValueError, match=said):
        untrained.generate("a red picture", **kwargs)


def test_captions_that_are_cut_are_told_in_fit_and_generate(untrained):
    long = "a " * 7
    with pytest.warns(UserWarning, match="1 of 2 captions are longer than the 8 tokens") as caught:
        untrained.generate([long, "a a"], num_images=2, verbose=0)
    assert sum("longer than" in str(each.message) for each in caught) == 1
    images, captions = tiny_text.pictures(4)[0], ["a", "a a", long, "a a a"]
    with pytest.warns(UserWarning, match="1 of 4 captions are longer than the 8 tokens") as caught:
        tiny_text.compiled().fit(images, captions, batch_size=2, verbose=0)
    assert sum("longer than" in str(each.message) for each in caught) == 1


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (lambda x, y: (x, y[:-1]), ValueError, "4 images and 3 captions"),
        (lambda x, y: (x, None), ValueError, "captions are missing"),
        (lambda x, y: (x, [*y[:-1], []]), ValueError, "image 3 has no caption"),
        (lambda x, y: (x, [*y[:-1], "  "]), ValueError, "empty"),
        (lambda x, y: (x, [*y[:-1], 7]), TypeError, "int"),
        (lambda x, y: (x[:, :8], y), ValueError, r"must have shape \(N, 16, 16, 3\); got \(4, 8, 16, 3\)"),
        (lambda x, y: (x[0], y), ValueError, "shape"),
        (lambda x, y: (x[:0], y[:0]), ValueError, "empty"),
        (lambda x, y: (x.astype("int64"), y), TypeError, "int64"),
        (lambda x, y: (x.astype("float32"), y), ValueError, "Divide by 255"),
    ],
)
def test_data_that_do_not_fit(untrained, change, kind, said):
    images, captions = tiny_text.pictures(4)
    with pytest.raises(kind, match=said):
        untrained.fit(*change(images, [each[0] for each in captions]), verbose=0)


def test_constructor():
    with pytest.raises(TypeError, match="cannot make a text encoder from int"):
        TextToImage(3)
    encoder = tiny_text.text_encoder()
    with pytest.raises(ValueError, match="'vae', 'gan', 'vae_gan'"):
        TextToImage(encoder, tiny_text.SHAPE, "diffusion")
    with pytest.raises(TypeError, match="TextToImage: generator must be a keras.Model; got str"):
        TextToImage(encoder, tiny_text.SHAPE, generator="generator")
    with pytest.raises(ValueError, match=r"for image_shape=\(32, 32, 3\) the generator must give"):
        TextToImage(encoder, (32, 32, 3), **tiny_text.networks())
    with pytest.raises(ValueError, match="caption_dropout"):
        TextToImage(encoder, tiny_text.SHAPE, caption_dropout=1.0, **tiny_text.networks())
    for recipe, name, part in (
        ("gan", "encoder", tiny_text.encoder(8)),
        ("vae", "discriminator", tiny_text.encoder(1)),
    ):
        with pytest.raises(ValueError, match=f"the recipe '{recipe}' has no {name}; leave it out"):
            TextToImage(encoder, tiny_text.SHAPE, recipe, latent_dim=4, **{name: part})
    assert tiny_text.model("gan").encoder is None and tiny_text.model("vae").discriminator is None


def test_compiled_again_after_loading(tmp_path):
    model = tiny_text.model("vae_gan")
    model.compile(objective=ELBO(beta=0.5, penalties=[]))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.objective.beta == 0.5 and loaded.objective.adversary.penalties == ()


def test_an_endless_dataset_is_refused(untrained):
    pytest.importorskip("tensorflow")
    images, captions = tiny_text.pictures(4)
    endless = CaptionedImages(images, captions).as_dataset(batch_size=2).repeat()
    with pytest.raises(ValueError, match="endless"):
        untrained.fit(endless, steps_per_epoch=1, verbose=0)


def test_unknown_loss_arguments_are_refused():
    with pytest.raises(TypeError, match="loss_weights"):
        tiny_text.model().compile(loss_weights=[1.0])


# === State ===
def test_saved_and_loaded_in_a_new_process_it_draws_the_same(trained, tmp_path):
    file = tmp_path / "model.keras"
    trained.save(file)
    before = trained.generate(["a red picture", "a blue picture"], seed=3).astype(int)
    after = in_new_process("tests.models.test_text_to_image:_load_and_generate", str(file))
    assert np.abs(after - before).max() <= 1


def _load_and_generate(file):
    import kgen  # noqa: F401

    model = keras.models.load_model(file)
    assert model.compiled and float(ops.convert_to_numpy(model.standardize_pooled.adapted)) == 1.0
    return model.generate(["a red picture", "a blue picture"], seed=3)


@pytest.mark.slow
def test_survival(tmp_path):
    checks.check_survival(tiny_text.compiled, tiny_text.pictures(27), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("factory", ["compiled", "compiled_with_trainable_encoder"])
def test_training_that_was_interrupted_goes_on_bitwise(factory, tmp_path):
    images, captions = tiny_text.pictures(8)
    whole = checks.make(getattr(tiny_text, factory))
    whole.fit(images, captions, batch_size=4, epochs=4, verbose=0)
    half = checks.make(getattr(tiny_text, factory))
    half.fit(images, captions, batch_size=4, epochs=2, verbose=0)
    half.save(tmp_path / "half.keras")
    weights = in_new_process(
        "tests.models.test_text_to_image:_load_and_train", str(tmp_path / "half.keras"), images, captions
    )
    expected = [ops.convert_to_numpy(v) for v in whole.variables]
    assert all(np.array_equal(a, b) for a, b in zip(expected, weights, strict=True))


def _load_and_train(file, images, captions):
    import kgen  # noqa: F401

    model = keras.models.load_model(file)
    model.fit(images, captions, batch_size=4, epochs=2, verbose=0)
    return [ops.convert_to_numpy(v) for v in model.variables]


# === Captions that are remembered ===
def test_prompts_are_drawn_towards_captions_that_are_known(trained, tmp_path):
    model = TextToImage.from_preset(preset_of(trained, tmp_path))
    unknown = "a reddish sheet, pictured"
    before = model.generate([unknown, "a red picture"], seed=[3, 3])
    model.remember([["a red picture"], "a blue picture", "a red picture"], sharpness=1000.0)
    assert model.memory.known.shape[0] == 2
    size = model.count_params()
    model.remember(["a red picture", "a blue picture"], sharpness=1000.0)
    assert model.count_params() == size
    prompts = model.sampler.prompts
    features = ops.convert_to_numpy(prompts.remembered(prompts.features([unknown], verbose=0))["pooled"])[0]
    known = ops.convert_to_numpy(model.memory.known)
    assert np.abs(known - features).max(axis=1).min() < 1e-4
    # Known captions stay what they are.
    after = model.generate([unknown, "a red picture"], seed=[3, 3])
    np.testing.assert_allclose(after[1].astype(int), before[1], atol=1)
    assert np.abs(after[0].astype(int) - before[0]).max() > 1
    # Kept in files and presets, and by a model that shares the generator.
    model.save(tmp_path / "model.keras")
    others = [
        keras.saving.load_model(tmp_path / "model.keras", compile=False),
        TextToImage.from_preset(preset_of(model, tmp_path)),
        model.with_text_encoder(model.text_encoder),
    ]
    for other in others:
        np.testing.assert_allclose(other.generate(unknown, seed=3).astype(int), after[0], atol=1)
    model.remember(None)
    assert model.memory is None and model.sampler.prompts.memory is None


@pytest.mark.backends
def test_a_memory_that_would_hide_new_captions_is_dropped(trained, tmp_path):
    model = TextToImage.from_preset(preset_of(trained, tmp_path))
    images, captions = tiny_text.pictures(8)
    model.remember(tiny_text.CAPTIONS)
    model.compile()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "TextToImage: this training")
        # It knows the captions of the training; those of the validation do not matter.
        model.fit(images, captions, validation_data=(images[:1], ["a grey picture"]), batch_size=8, verbose=0)
        assert model.memory.size == len(tiny_text.CAPTIONS)
        assert all(variable is not model.memory.known for variable in model.guard.state)
    said = "TextToImage: this training learns other captions, such as 'a grey picture', so the memory of 8 captions is"
    with pytest.warns(UserWarning, match=said):
        model.fit(images[:2], ["a grey picture", "a red picture"], batch_size=2, verbose=0)
    assert model.memory is None
    before = model.generate("a grey picture", seed=0)
    model.remember(["a red picture", "a grey picture"])
    np.testing.assert_allclose(model.generate("a grey picture", seed=0).astype(int), before, atol=2)
    with pytest.warns(UserWarning, match="this training learns other captions, such as 'a blue picture'"):
        model.train_on_batch(images[:1], ["a blue picture"])


@pytest.mark.filterwarnings("ignore:TextToImage. this training learns other captions")
def test_a_killed_training_resumes_without_the_memory(trained, tmp_path):
    model = TextToImage.from_preset(preset_of(trained, tmp_path))
    model.remember(tiny_text.CAPTIONS)
    model.save_to_preset(tmp_path / "remembers")
    images = tiny_text.pictures(8)[0]

    def train(name, last):
        model = TextToImage.from_preset(tmp_path / "remembers")
        model.compile()
        backup = Backup(tmp_path / name, save_freq=1)
        at = checks.At(kill, (0, last))
        with contextlib.suppress(checks.Killed):
            model.fit(images, ["a grey picture"] * 8, batch_size=2, epochs=1, verbose=0, callbacks=[backup, at])
        return model, at.steps

    def kill():
        raise checks.Killed

    whole, _ = train("whole", 9)
    train("run", 1)
    resumed, steps = train("run", 9)
    assert steps == [(0, 2), (0, 3)] and resumed.memory is None
    checks.assert_same_state(checks.state(whole), checks.state(resumed))


def test_a_look_before_the_training_sets_no_standards():
    images, captions = tiny_text.pictures(8)
    models = [checks.make(tiny_text.compiled) for _ in range(2)]
    models[1].evaluate(images[:1], ["a grey picture"], verbose=0)
    models[1].test_on_batch(images[:1], ["a grey picture"])
    assert not float(models[1].standardize_pooled.adapted)
    for model in models:
        model.fit(images, captions, batch_size=8, verbose=0)
    for part in ("standardize_pooled", "standardize_tokens"):
        for expected, actual in zip(*(getattr(model, part).get_weights() for model in models), strict=True):
            np.testing.assert_array_equal(actual, expected)


def test_a_memory_of_another_encoder_is_dropped(trained, tmp_path):
    model = TextToImage.from_preset(preset_of(trained, tmp_path))
    model.remember(tiny_text.CAPTIONS)
    model.compile()
    model.text_encoder.trainable = True
    with pytest.raises(ValueError, match="call compile.. after changing `trainable`"):
        model.fit(*tiny_text.pictures(8), batch_size=8, verbose=0)
    assert model.memory is not None
    model.compile()
    with pytest.warns(UserWarning, match="this training trains the text encoder, so the memory of 8 captions"):
        model.fit(*tiny_text.pictures(8), batch_size=8, verbose=0)
    assert model.memory is None


def test_of_the_captions_of_an_image_the_best_stands_for_all(trained, tmp_path):
    model = TextToImage.from_preset(preset_of(trained, tmp_path))
    images, captions = tiny_text.pictures(2)
    drawn = model.generate([text for each in captions for text in each], seed=[0] * 4).astype(float)
    errors = np.square(drawn - np.repeat(images, 2, axis=0)).mean(axis=(1, 2, 3)).reshape(2, 2)
    expected = []
    for i, row in enumerate(errors):
        expected += [2 * i + (int(row.argmin()) if row.min() < 0.33 * error else j) for j, error in enumerate(row)]
    model.remember(captions, images, sharpness=1e5)
    assert model.memory.stands_for == expected
    found = model.generate([text for each in captions for text in each], seed=[0] * 4)
    # The tokens are their own.
    assert np.abs(found - drawn[model.memory.stands_for]).mean() < 4
    # Another encoder, which reads the names anew, keeps it.
    other = model.with_text_encoder(model.text_encoder)
    assert other.memory.stands_for == model.memory.stands_for
    with pytest.raises(ValueError, match=r"images must be uint8 of shape \(2, 16, 16, 3\).* got uint8 of shape \(1,"):
        model.remember(captions, images[:1])
    assert any(variable is model.memory.known for variable in model.variables)


def preset_of(model, folder):
    model.save_to_preset(folder / "kept")
    return folder / "kept"


def test_an_exported_model_remembers(trained, tmp_path, tensorflow_backend):
    import tensorflow as tf

    model = TextToImage.from_preset(preset_of(trained, tmp_path))
    model.remember(tiny_text.CAPTIONS, sharpness=1000.0)
    model.export(tmp_path / "saved")
    serve = tf.saved_model.load(tmp_path / "saved").signatures["serving_default"]
    served = serve(prompts=tf.constant(["a reddish sheet, pictured"]), seeds=tf.constant([3]))["images"].numpy()
    drawn = model.generate(["a reddish sheet, pictured"], seed=3)
    np.testing.assert_allclose(served.astype(int), drawn, atol=1)
    assert np.abs(drawn.astype(int) - trained.generate(["a reddish sheet, pictured"], seed=3)).max() > 1


def test_what_cannot_be_remembered(trained):
    for captions, error in (([], ValueError), ([3], TypeError), ([""], ValueError)):
        with pytest.raises(error, match="TextToImage.remember"):
            TextToImage.from_config(trained.get_config()).remember(captions)
    with pytest.raises(ValueError, match="the text encoder must be frozen"):
        tiny_text.model(trainable=True).remember(["a red picture"])
