import re

import keras
import numpy as np
import pytest

import kgen  # noqa: F401  load_model knows its classes by it
from kgen.metrics import FrechetDistance, ReconstructionError
from kgen.models import StyleTransfer
from tests.checks.models import check_evaluation, check_mixed_precision, check_resume
from tests.models import tiny_style


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def scaled(images):
    return images.astype("float32") / 127.5 - 1.0


def batches(count):
    """Pairs, in which nothing is drawn by lot."""
    return tiny_style.images(count), np.resize(tiny_style.stripes(5, (16, 16)), (count, 16, 16, 3))


@pytest.fixture(scope="module")
def trained():
    return tiny_style.trained()


# === Training ===
@pytest.mark.backends
def test_learns_with_styles_of_another_number_and_size(trained):
    logs = trained.history_of_training
    assert set(logs) == {"loss", "content", "style", "identity"}
    np.testing.assert_allclose(logs["loss"], np.sum([logs[k] for k in ("content", "style", "identity")], axis=0), 1e-4)
    assert logs["loss"][-1] < 0.7 * logs["loss"][0] and logs["identity"][-1] < 0.8 * logs["identity"][0]


@pytest.mark.backends
def test_several_maps_on_disk(tmp_path):
    decoder = kgen.networks.style_decoder([4, 6], [1, 2], filters=4)
    model = tiny_style.model(decoder=decoder, content_maps=(0, 1))
    model.compile(keras.optimizers.Adam(0.01), objective="gatys", run_eagerly=True)
    before = model.stylize(tiny_style.images(2), tiny_style.stripes(1)[0])
    model.fit(tiny_style.images(6), tiny_style.stripes(), batch_size=6, verbose=0)
    drawn = model.stylize(tiny_style.images(2), tiny_style.stripes(1)[0])
    assert (drawn != before).any()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.stylize(tiny_style.images(2), tiny_style.stripes(1)[0]), drawn)
    assert (again.content_maps, again.objective.kind, again.objective.style_weight) == ((0, 1), "gatys", 1.0)


@pytest.mark.parametrize("maps", [1, (0, 1)])
def test_trains_on_images_of_odd_sides(maps):
    decoder = kgen.networks.style_decoder(*([6, 2] if maps == 1 else [[4, 6], [1, 2]]), filters=4)
    model = tiny_style.model(decoder=decoder, content_maps=maps)
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    contents, styles = tiny_style.images(4, (15, 13)), tiny_style.stripes(2, (11, 14))
    logs = model.fit(contents, styles, validation_data=(contents[:2], styles), batch_size=2, verbose=0).history
    assert np.isfinite([logs["loss"][0], logs["val_loss"][0]]).all()
    assert model.call({"images": scaled(contents[:2]), "styles": scaled(styles)}).shape == (2, 15, 13, 3)


def test_the_encoder_is_a_copy_that_stays_as_it_is(trained):
    given = tiny_style.encoder()
    kept = given.get_weights()
    assert not trained.encoder.trainable_variables
    for a, b in zip(trained.encoder.get_weights(), kept[:4]):
        np.testing.assert_array_equal(a, b)


def test_styles_are_drawn_by_the_models_own_seeds():
    states = []
    for global_seed in (0, 1):
        model = tiny_style.eager()
        model.decoder.set_weights([np.full(w.shape, 0.1, "float32") for w in model.decoder.get_weights()])
        keras.utils.set_random_seed(global_seed)
        model.fit(tiny_style.images(), tiny_style.stripes(), batch_size=4, shuffle=False, verbose=0)
        states.append(model.decoder.get_weights())
    for a, b in zip(*states):
        np.testing.assert_array_equal(a, b)
    other = tiny_style.stripes(seed=2)[:1]
    before = int(model.optimizer.iterations)
    model.fit(tiny_style.images(), other, batch_size=4, shuffle=False, verbose=0)
    assert int(model.optimizer.iterations) == before + 3 and model.image_input.second_set is None


@pytest.mark.backends
def test_a_second_fit_sees_its_own_styles():
    model = tiny_style.model()
    model.compile(keras.optimizers.SGD(0.0), identity_weight=0)
    contents, styles = tiny_style.images(6), np.split(tiny_style.stripes(2, (16, 16)), 2)
    fitted = [model.fit(contents, each, batch_size=6, verbose=0).history["style"][-1] for each in styles]
    evaluated = [model.evaluate(contents, each, verbose=0, return_dict=True)["style"] for each in styles]
    np.testing.assert_allclose(fitted, evaluated, rtol=1e-4)
    assert abs(fitted[0] - fitted[1]) > 1e-3 * fitted[0]


def test_what_metrics_compare(trained):
    contents, styles = (scaled(each) for each in batches(2))
    batch = {"images": contents, "styles": styles}
    stylized = trained.stylize(*batches(2), texture=0)
    for paired, expected in ((False, styles), (True, contents)):
        real, generated = map(array, trained.counterparts(batch, paired))
        np.testing.assert_array_equal(real, expected)
        np.testing.assert_allclose((generated.clip(-1, 1) + 1) * 127.5, stylized, atol=1)


def test_metrics_of_styles_and_of_contents():
    features = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)], name="edges")
    model = tiny_style.eager(metrics=[FrechetDistance(features), ReconstructionError()])
    logs = model.evaluate(*batches(6), batch_size=6, verbose=0, return_dict=True)
    assert np.isfinite([logs["frechet_distance_edges"], logs["psnr"], logs["ssim"]]).all()


def test_a_dataset_of_pairs(tensorflow_backend):
    import tensorflow as tf

    contents, styles = batches(8)
    states = []
    for data in ((contents, styles), (tf.data.Dataset.from_tensor_slices((contents, styles)).batch(4),)):
        keras.utils.set_random_seed(0)
        model = tiny_style.eager()
        if len(data) == 1:
            model.fit(*data, validation_data=data[0], verbose=0)
        else:
            for start in (0, 4):
                model.train_on_batch(contents[start : start + 4], styles[start : start + 4])
        states.append(model.decoder.get_weights())
    for a, b in zip(*states):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
def test_resumes_to_the_bit(tmp_path):
    check_resume(tiny_style.eager, (tiny_style.images(16), tiny_style.stripes()), tmp_path)


@pytest.mark.slow
def test_validation_changes_nothing():
    check_evaluation(tiny_style.eager, (tiny_style.images(16), tiny_style.stripes()))


@pytest.mark.slow
def test_mixed_precision(tensorflow_backend):
    check_mixed_precision(tiny_style.compiled, batches(16), "mixed_float16", steps=4)


# === On disk ===
@pytest.mark.backends
def test_save_and_load(trained, tmp_path):
    content, style = tiny_style.images(2), tiny_style.stripes(1)[0]
    expected = trained.stylize(content, style)
    trained.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.stylize(content, style), expected)
    assert (again.objective.style_weight, again.objective.identity_weight) == (5.0, 1.0)
    assert (again.ema_momentum, again.factor) == (0.9, 2)
    trained.save_to_preset(tmp_path / "preset")
    np.testing.assert_array_equal(StyleTransfer.from_preset(tmp_path / "preset").stylize(content, style), expected)


def test_the_preset_that_ships():
    model = StyleTransfer.from_preset("style_efficientnet_lite0")
    contents, styles = kgen.data.textures(2, 64, seed=7), kgen.data.textures(4, 64, seed=8)
    colors = styles.mean(axis=(1, 2))[:, None]
    drawn = np.stack([model.stylize(contents, style) for style in styles])
    distances = [np.abs(each.mean(axis=(-3, -2)) - colors).mean() for each in (drawn, contents)]
    assert distances[0] < 0.6 * distances[1]
    # Which content it was can be seen in the features.
    seen, wanted = (array(model.encode(scaled(x))[model.content_maps[-1]]) for x in (drawn[:, 0], contents))
    alike = [[np.corrcoef(a.ravel(), b.ravel())[0, 1] for b in wanted] for a in seen]
    assert np.mean([own - other for own, other in alike]) > 0.05, alike


@pytest.mark.slow
def test_export(trained, tmp_path, tensorflow_backend):
    import tensorflow as tf

    trained.export(tmp_path / "saved_model")
    serve = tf.saved_model.load(tmp_path / "saved_model").signatures["serving_default"]
    contents, styles = tiny_style.images(2, (21, 31)), tiny_style.stripes(2, (18, 15))
    for strength in (0.0, 0.5, 1.0):
        served = serve(
            images=tf.constant(contents), styles=tf.constant(styles), strength=tf.fill((2,), np.float32(strength))
        )
        expected = trained.stylize(contents, styles, strength, texture=0)
        np.testing.assert_allclose(served["images"].numpy().astype(int), expected, atol=1)


# === What is wrong ===
@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: m.fit(tiny_style.images()), "styles must be given; call fit(contents, styles)"),
        (lambda m: m.fit(tiny_style.images(), tiny_style.stripes()[0]), "styles: images must have shape (N, height"),
        (lambda m: m.fit(scaled(tiny_style.images()), tiny_style.stripes() / 255.0), "must be in the same range"),
        (lambda m: m.compile(objective="vgg"), "objective must be 'adain' or 'gatys'; got 'vgg'"),
        (lambda m: tiny_style.model(content_maps=[0, 2]), "content_maps must be an integer from 0 to 1; got 2"),
        (lambda m: tiny_style.model(content_maps=[0, 1]), "must take 2 maps, those of content_maps=(0, 1); it takes 1"),
        (lambda m: m.compile(style_weight=-1), "style_weight must be a number of at least 0; got -1"),
        (lambda m: m.stylize(tiny_style.images(), tiny_style.stripes()), "got 12 contents and 5 styles"),
        (lambda m: m.stylize(tiny_style.images(), tiny_style.stripes(1), strength=2), "from 0 to 1; got 2"),
        (lambda m: m.stylize(tiny_style.images(), tiny_style.stripes(1), texture=-0.1), "texture must be from 0 to 1"),
        (lambda m: m.stylize(tiny_style.images(), tiny_style.stripes(1), weights=[0]), "1 numbers of at least 0"),
        (lambda m: m.stylize(tiny_style.images(1, (6, 16)), tiny_style.stripes(1)), "at least 8 pixels; got 6x16"),
        (lambda m: m.stylize(tiny_style.images()[..., :1], tiny_style.stripes(1)), "(N, height, width, 3)"),
    ],
)
def test_what_is_wrong_says_so(call, message):
    model = tiny_style.model()
    model.compile()
    with pytest.raises(ValueError, match=re.escape(message)):
        call(model)


def test_a_decoder_that_does_not_fit():
    with pytest.raises(ValueError, match=re.escape("must make an image of (256, 256, 3); it makes (512, 512, 3)")):
        tiny_style.model(decoder=kgen.networks.style_decoder(6, 4, filters=2))
    with pytest.raises(TypeError, match="decoder must be a keras.Model; got str"):
        tiny_style.model(decoder="none")
