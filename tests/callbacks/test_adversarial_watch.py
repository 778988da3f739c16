import keras
import numpy as np
import pytest

from kgen.callbacks import AdversarialWatch
from kgen.callbacks.adversarial_watch import diversity
from tests.checks import models
from tests.models import tiny, tiny_text

SGD = keras.optimizers.SGD
RATE = 0.01


def compiled(make=tiny.gan, **options):
    model = make(**options)
    model.compile(SGD(RATE))
    model.average.updates.assign(1.0)
    return model


def rates(model):
    return [round(float(keras.ops.convert_to_numpy(o.learning_rate)), 6) for o in model.optimizer.optimizers]


def rehearse(watch, model, logs):
    """Calls a callback as `fit` does, with epochs that train nothing and have these logs; how many there were."""
    watch.set_model(model)
    model.stop_training = False
    watch.on_train_begin()
    for epoch, of_epoch in enumerate(logs):
        watch.on_epoch_begin(epoch)
        watch.on_train_batch_end(0, of_epoch)
        watch.on_epoch_end(epoch, of_epoch)
        if model.stop_training:
            return epoch + 1
    return len(logs)


class Spoiler(keras.callbacks.Callback):
    """Makes the generator's weights NaN after a batch of an epoch, both counted from 1, as a step too far would."""

    def __init__(self, epoch, batch, again=False):
        super().__init__()
        self.epoch, self.batch, self.again, self.now = epoch, batch, again, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if (batch + 1) == self.batch and (self.now == self.epoch or self.again and self.now > self.epoch):
            if keras.backend.backend() == "jax":
                self.model.jax_state_sync()
            variable = self.model.generator.trainable_variables[0]
            variable.assign(keras.ops.full(variable.shape, float("nan")))


def fit(model, *callbacks, epochs=4):
    """Three batches an epoch; the history."""
    return model.fit(tiny.pictures(24), batch_size=8, epochs=epochs, verbose=0, callbacks=callbacks).history


# === Divergence ===
@pytest.mark.backends
def test_training_that_diverges_is_stopped_at_once(capsys):
    model = compiled()
    batches = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(batch))
    watch = AdversarialWatch()
    history = fit(model, watch, Spoiler(2, 1), count)
    assert batches == [0, 1, 2, 0, 1] and len(history["generator_loss"]) == 2
    assert watch.reason.startswith("AdversarialWatch, epoch 2: training diverged: ")
    assert "generator_loss" in watch.reason and watch.reason.endswith("not finite. Training stops.")
    assert capsys.readouterr().out == f"\n{watch.reason}\n"


def test_after_an_interrupted_training_nan_is_an_error_again():
    def interrupt(batch, logs):
        raise KeyboardInterrupt

    def interrupted():
        model = compiled()
        with pytest.raises(KeyboardInterrupt):
            fit(model, AdversarialWatch(), keras.callbacks.LambdaCallback(on_train_batch_end=interrupt))
        return model

    with pytest.raises(FloatingPointError):
        fit(interrupted(), Spoiler(1, 1))
    model = interrupted()
    variable = model.generator.trainable_variables[0]
    variable.assign(keras.ops.full(variable.shape, float("nan")))
    with pytest.raises(FloatingPointError):
        model.train_on_batch(tiny.pictures(8))


@pytest.mark.backends
@pytest.mark.parametrize("batch", [1, 3])
def test_it_goes_back_and_goes_on_with_a_lower_rate(batch, capsys):
    model = compiled()
    watch = AdversarialWatch("lower_rate", verbose=0)
    history = fit(model, watch, Spoiler(2, batch))
    assert rates(model) == [RATE / 2] * 2 and not model.stop_training
    assert "returns to the weights of epoch 1, and continues with 0.5 times the learning rate." in watch.reason
    assert capsys.readouterr().out == ""
    # The whole run is there, and every weight at its end is a number.
    assert np.isfinite(history["generator_loss"]).all() and len(history["generator_loss"]) == 4
    assert all(np.isfinite(value).all() for _, value in models.state(model))
    steps = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    # Of the second epoch there remains the last step, or nothing where the weights were bad at its end.
    assert steps == (3 + 1 if batch == 1 else 3) + 6


@pytest.mark.backends
def test_what_it_goes_back_to_is_all_of_the_state():
    model = tiny.gan()
    model.compile(keras.optimizers.Adam(RATE))
    fit(model, epochs=1)
    before = [(path, value.copy()) for path, value in models.state(model)]
    watch = AdversarialWatch("lower_rate", verbose=0, collapse=None)
    watch.set_model(model)
    watch.on_train_begin()
    fit(model, epochs=1)
    watch.on_epoch_begin(0)
    watch.on_train_batch_end(0, {"generator_loss": float("inf")})
    after = models.state(model)
    assert rates(model) == [RATE / 2] * 2
    assert "returns to the weights of the beginning" in watch.reason
    changed = [path for (path, old), (_, new) in zip(before, after, strict=True) if not np.array_equal(old, new)]
    assert len(changed) == 2 and all("learning_rate" in path for path in changed)


@pytest.mark.backends
def test_it_gives_up_but_leaves_no_broken_weights():
    model = compiled()
    watch = AdversarialWatch("lower_rate", max_actions=2, factor=0.1, verbose=0)
    history = fit(model, watch, Spoiler(2, 2, again=True), epochs=9)
    assert len(history["generator_loss"]) == 4 and rates(model) == [pytest.approx(RATE / 100)] * 2
    assert watch.reason.startswith("AdversarialWatch, epoch 4: training diverged")
    assert watch.reason.endswith("and stops after lowering the learning rate 2 times.")
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_an_epoch_that_ends_in_going_back_has_no_mean():
    model, logs = compiled(), {"generator_loss": float("nan"), "val_generator_loss": 1.0}
    rehearse(AdversarialWatch("lower_rate", verbose=0), model, [logs])
    assert np.isnan(logs["generator_loss"]) and logs["val_generator_loss"] == 1.0
    model, logs = compiled(), {"generator_loss": 0.0}
    watch = AdversarialWatch("lower_rate", verbose=0)
    watch.set_model(model)
    watch.on_train_begin()
    watch.on_epoch_begin(0)
    watch.on_train_batch_end(0, {"generator_loss": float("nan")})
    # As metrics that were reset would have it.
    watch.on_epoch_end(0, logs)
    assert np.isnan(logs["generator_loss"]) and "diversity" not in logs


@pytest.mark.parametrize("make", [tiny.vae, tiny.vae_gan])
def test_a_vae_that_diverges(make):
    model = make()
    model.compile(SGD(1e9))
    watch = AdversarialWatch(verbose=0)
    fit(model, watch, epochs=20)
    assert model.stop_training and "training diverged" in watch.reason


# === A discriminator that always wins ===
def wins(*accuracies):
    return [{"discriminator_accuracy": accuracy} for accuracy in accuracies]


def test_a_discriminator_that_wins_for_long():
    model = compiled()
    watch = AdversarialWatch(patience=3, collapse=None, verbose=0)
    assert rehearse(watch, model, wins(1.0, 0.99, 0.98, 0.999, 1.0, 0.995, 1.0)) == 6
    assert watch.reason == (
        "AdversarialWatch, epoch 6: the discriminator was right about 99.5% of pairs, and 99.0% or more in 3 epochs in "
        "a row, so the generator learns little from it. Training stops."
    )
    assert rehearse(watch, model, wins(*[0.98] * 9)) == 9 and watch.reason is None
    assert rehearse(watch, compiled(tiny.vae), [{"loss": 1.0}] * 4) == 4 and watch.reason is None
    low = AdversarialWatch(threshold=0.8, patience=1, collapse=None, verbose=0)
    assert rehearse(low, model, wins(0.7, 0.8)) == 2 and "80.0% or more in 1 epoch," in low.reason


def test_lower_rates_for_the_discriminator_that_wins():
    model = compiled()
    watch = AdversarialWatch("lower_rate", patience=2, max_actions=2, collapse=None, verbose=0)
    watch.set_model(model)
    watch.on_train_begin()
    variable = model.generator.trainable_variables[0]
    variable.assign(keras.ops.ones(variable.shape))
    watch.on_epoch_end(0, {"discriminator_accuracy": 1.0})
    watch.on_epoch_end(1, {"discriminator_accuracy": 1.0})
    assert rates(model) == [RATE / 2] * 2 and (keras.ops.convert_to_numpy(variable) == 1.0).all()
    # It counts from each action anew.
    watch.on_epoch_end(2, {"discriminator_accuracy": 1.0})
    assert rates(model) == [RATE / 2] * 2
    model.optimizer.learning_rate = RATE
    assert rehearse(watch, model, wins(*[1.0] * 5)) == 5
    assert rates(model) == [RATE / 4] * 2 and "Training continues with 0.5 times the learning rate." in watch.reason
    assert rehearse(watch, model, wins(*[1.0] * 9)) == 6 and rates(model) == [RATE / 16] * 2
    assert watch.reason.endswith("Training stops after lowering the learning rate 2 times.")


@pytest.mark.backends
def test_a_discriminator_that_wins_in_training():
    model = tiny.gan()
    model.compile({"discriminator": SGD(0.1), "generator": SGD(0.0)}, penalties=[])
    watch = AdversarialWatch(threshold=0.95, patience=2, verbose=0)
    history = fit(model, watch, epochs=40)
    assert model.stop_training and "the discriminator was right about" in watch.reason
    assert history["discriminator_accuracy"][-2] >= 0.95 <= history["discriminator_accuracy"][-1]


# === Mode collapse ===
def collapse(*networks):
    """Leaves networks one image for all latents."""
    for network in networks:
        network.variables[0].assign(keras.ops.zeros(network.variables[0].shape))


class Collapser(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            collapse(self.model.generator, self.model.average.network)


@pytest.mark.backends
@pytest.mark.parametrize("action", ["stop", "lower_rate"])
def test_mode_collapse(action):
    model = tiny.gan()
    model.compile(SGD(0.0))
    watch = AdversarialWatch(action, patience=2, verbose=0)
    history = fit(model, Collapser(), watch, epochs=5)
    assert watch.reason.startswith("AdversarialWatch, epoch 3: generated images are nearly all alike")
    assert history["diversity"][0] > 0.01 and history["diversity"][1] < 1e-3
    assert model.stop_training == (action == "stop")
    if action == "lower_rate":
        assert "returns to the weights of epoch 1" in watch.reason
        assert history["diversity"][3] == pytest.approx(history["diversity"][0])


def test_diversity_is_that_of_the_images(monkeypatch):
    model = compiled()
    images = tiny.pictures(5)
    far = [np.sqrt(np.mean((images[i] / 255 - images[j] / 255) ** 2)) for i in range(5) for j in range(5) if i != j]
    assert diversity(images[None]) == pytest.approx(np.mean(far))
    # Of groups, the mean within them.
    groups = np.stack([images[:2], images[2:4]])
    expected = np.mean([diversity(groups[:1]), diversity(groups[1:])])
    assert diversity(groups) == pytest.approx(expected)
    logs = [{}]
    rehearse(AdversarialWatch(num_images=7, seed=3), model, logs)
    assert logs[0]["diversity"] == pytest.approx(diversity(model.generate(7, seed=3)[None]))


def test_collapse_within_a_label_shows():
    model = compiled(num_classes=tiny.CLASSES)
    logs = [{}]
    watch = AdversarialWatch(num_images=8)
    rehearse(watch, model, logs)
    images = np.stack([model.generate(labels=[label] * 2, seed=0) for label in range(3)])
    assert watch._generated().shape == (3, 2, *tiny.SHAPE)
    np.testing.assert_array_equal(watch._generated()[0], images[0])
    # One image for each label: different ones, but no diversity.
    kernel = model.average.network.variables[0]
    rows = keras.ops.convert_to_numpy(kernel).copy()
    rows[:4] = 0.0
    kernel.assign(rows)
    again = [{}]
    rehearse(watch, model, again)
    assert again[0]["diversity"] == 0.0 < logs[0]["diversity"]
    assert len({image.tobytes() for image in watch._generated()[:, 0]}) == 3


def test_real_images_say_how_diverse_they_should_be():
    model = compiled()
    watch = AdversarialWatch(patience=1, images=tiny.pictures(), verbose=0)
    collapse(model.average.network)
    # Collapsed from the first epoch on, which the largest in the run could not show.
    assert rehearse(watch, model, [{}] * 3) == 1
    real = diversity(tiny.pictures()[None])
    assert f"0.0000, against {real:.4f} of real images, and was below 0.15 times that in 1 epoch" in watch.reason
    assert rehearse(AdversarialWatch(patience=1, verbose=0), model, [{}] * 3) == 3
    assert rehearse(AdversarialWatch(patience=1, images=tiny.pictures(), collapse=None), model, [{}] * 3) == 3


def test_prompts():
    model = tiny_text.model()
    model.compile(SGD(RATE))
    model.average.updates.assign(1.0)
    logs = [{}]
    rehearse(AdversarialWatch(), model, logs)
    assert logs == [{}]
    watch = AdversarialWatch(prompts=["a red picture", "a blue picture"], num_images=6)
    rehearse(watch, model, logs)
    images = model.generate(["a red picture", "a blue picture"], num_images=3, seed=0)
    assert logs[0]["diversity"] == pytest.approx(diversity(images.reshape(2, 3, *tiny_text.SHAPE)))


@pytest.mark.backends
def test_training_goes_on_as_if_nothing_were_watched():
    def weights(*callbacks):
        keras.utils.set_random_seed(0)
        model = tiny.gan()
        model.compile()
        fit(model, *callbacks, epochs=2)
        return models.state(model)

    models.assert_same_state(weights(), weights(AdversarialWatch("lower_rate", patience=9)))


# === Errors, before anything is trained ===
@pytest.mark.parametrize(
    "changed, message",
    [
        ({"action": "warn"}, 'action must be "stop" or "lower_rate"; got \'warn\''),
        ({"threshold": 0.5}, r"threshold must be in \(0.5, 1\]; got 0.5"),
        ({"patience": 0}, "patience must be an integer of at least 1; got 0"),
        ({"num_images": 1}, "num_images must be an integer of at least 2; got 1"),
        ({"max_actions": 1.5}, "max_actions must be an integer of at least 1; got 1.5"),
        ({"collapse": 1.0}, r"collapse must be in \(0, 1\); got 1.0"),
        ({"factor": 0.0}, r"factor must be in \(0, 1\); got 0.0"),
        ({"seed": None}, "seed must be an integer from .*; got None"),
        ({"prompts": []}, "AdversarialWatch: "),
    ],
)
def test_arguments_out_of_range(changed, message):
    with pytest.raises(ValueError, match=message):
        AdversarialWatch(**changed)


def test_wrong_images():
    for wrong in (tiny.pictures() / 255, tiny.pictures(1), "images"):
        with pytest.raises(TypeError, match="AdversarialWatch: images must be a uint8 array of at least 2 images; got"):
            AdversarialWatch(images=wrong)
    with pytest.raises(ValueError, match=r"images must have the model's image shape, \(8, 8, 3\); got \(8, 4, 3\)"):
        rehearse(AdversarialWatch(images=tiny.pictures()[:, :, :4]), compiled(), [{}])


def test_models_that_it_cannot_watch():
    with pytest.raises(TypeError, match="the model must be a kgen GAN, VAE or TextToImage; got Sequential"):
        rehearse(AdversarialWatch(), keras.Sequential(), [{}])
    with pytest.raises(ValueError, match="AdversarialWatch: GAN takes no prompts; leave them out"):
        rehearse(AdversarialWatch(prompts=["a cat"]), compiled(), [{}])


def test_a_schedule_cannot_be_lowered():
    model = tiny.gan()
    model.compile(SGD(keras.optimizers.schedules.CosineDecay(0.1, 100)))
    assert rehearse(AdversarialWatch(collapse=None), model, [{}]) == 1
    with pytest.raises(
        TypeError, match="the learning rate of phase 'discriminator' is a schedule.* or choose action=\"stop\""
    ):
        rehearse(AdversarialWatch("lower_rate"), model, [{}])
