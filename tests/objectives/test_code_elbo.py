import keras
import numpy as np
import pytest
from keras import ops

from kgen.losses import Gaussian
from kgen.networks.interface import feed
from kgen.objectives import CodeELBO
from tests.models import tiny, tiny_text

pytest.importorskip("tensorflow_text")

IMAGES, _ = tiny_text.pictures(16)
# They say nothing of the colour.
CAPTIONS = [["a picture", "a sheet of paper"]] * 16


def model(recipe="vae", codes=(1, 4), **kwargs):
    words, values = codes if isinstance(codes, tuple) else (1, 4)
    parts = {"generator": tiny_text.decoder(), "encoder": tiny_text.encoder(words * values)}
    given = {"codes": codes, "reconstruction": Gaussian(0.3), "caption_dropout": 0.0, **parts, **kwargs}
    return tiny_text.model(recipe, **given)


@pytest.mark.backends
def test_terms_by_hand():
    made = model()
    made.compile(beta=0.5)
    batch = {
        "images": ops.convert_to_tensor((IMAGES / 127.5 - 1.0).astype("float32")),
        **made.text_encoder.encode(["a picture"] * 16),
    }
    parts = made.objective.autoencoder_loss(batch, training=False)
    images, condition = made.conditioned(batch, training=False)
    logits = feed(made.encoder, "images", images, condition, False)
    # The prior of a single word has no others to read.
    divergence = made.codes.divergence(logits, ops.zeros_like(logits), condition, False)
    kl = 0.5 * ops.convert_to_numpy(ops.stop_gradient(divergence))[:, 0]
    np.testing.assert_allclose(ops.convert_to_numpy(ops.stop_gradient(parts["kl"])), kl, rtol=1e-4)
    # Images are cut to [-1, 1], and so no further off than what the likelihood sees.
    error = ops.convert_to_numpy(ops.stop_gradient(parts["pixel_error"])) / 127.5
    values = np.prod(tiny_text.SHAPE)
    nats = values * (error**2 / (2 * 0.3**2) + np.log(0.3 * np.sqrt(2 * np.pi)))
    reconstruction = ops.convert_to_numpy(ops.stop_gradient(parts["reconstruction"]))
    assert np.all(reconstruction > 0.999 * nats) and np.all(reconstruction < 1.2 * nats)


def test_one_caption_has_several_whole_images():
    words, values = 4, 4
    parts = {"generator": tiny.network("latents", (16,), tiny_text.SHAPE, 16), "encoder": tiny_text.encoder(16)}
    made = model(codes=(words, values), latent_dim=words * values, **parts)
    made.compile(keras.optimizers.Adam(4e-3))
    history = made.fit(IMAGES, CAPTIONS, epochs=160, batch_size=16, verbose=0).history
    measured = {"reconstruction", "kl", "pixel_error", "used_codes"}
    assert set(history) == {"loss", "autoencoder_loss", "prior_loss", *measured}
    assert history["used_codes"][-1] >= 1 and history["pixel_error"][-1] < 0.1 * history["pixel_error"][0]
    # The prior is told nothing of the colour, and has learned how often each is, whatever the words that say it.
    assert abs(history["prior_loss"][-1] - np.log(4)) < 0.2
    drawn = made.generate("a picture", num_images=64, seed=0, verbose=0).astype("float32").mean(axis=(1, 2))
    distances = np.abs(drawn[:, None] - np.array(list(tiny_text.COLORS.values()))).mean(axis=2)
    # All four colours are drawn, and next to nothing between two of them.
    assert np.mean(distances.min(axis=1) < 40) > 0.9
    assert len(np.unique(distances.argmin(axis=1))) == 4


@pytest.mark.parametrize("recipe", ["vae", "vae_gan"])
def test_saved_and_resumed(recipe, tmp_path):
    made = model(recipe)
    made.compile()
    made.fit(IMAGES, CAPTIONS, epochs=1, verbose=0)
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.objective, CodeELBO) and (loaded.codes.words, loaded.codes.values) == (1, 4)
    for each in (made, loaded):
        each.fit(IMAGES, CAPTIONS, epochs=1, verbose=0)
    for first, second in zip(made.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(first, second)
    ends = [each.generate("a picture", num_images=4, seed=0, verbose=0) for each in (made, loaded)]
    np.testing.assert_array_equal(*ends)


def test_another_text_encoder_keeps_prior_and_images():
    made = model()
    made.compile()
    made.fit(IMAGES, CAPTIONS, epochs=2, verbose=0)
    copy = made.with_text_encoder(tiny_text.text_encoder())
    assert copy.codes is not made.codes

    def drawn(drawer):
        return drawer.generate("a picture", num_images=6, seed=0, verbose=0).astype(int)

    first = drawn(made)
    # Another graph may round otherwise.
    np.testing.assert_allclose(drawn(copy), first, atol=1)
    copy.compile()
    copy.fit(IMAGES, CAPTIONS, epochs=1, verbose=0)
    np.testing.assert_allclose(drawn(made), first, atol=1)


def test_as_a_saved_model(tmp_path):
    tf = pytest.importorskip("tensorflow")
    made = model()
    made.compile()
    made.fit(IMAGES, CAPTIONS, epochs=1, verbose=0)
    made.export(tmp_path / "saved")
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    drawn = serve(prompts=tf.constant(["a picture"] * 6), seeds=tf.range(6))["images"].numpy()
    expected = made.generate(["a picture"] * 6, seed=range(6), verbose=0)
    assert np.abs(drawn.astype(int) - expected).max() <= 1
    assert len(np.unique(expected.reshape((6, -1)), axis=0)) > 1


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="loss, penalties and mixing need a discriminator"):
        model().compile(loss="hinge")
    with pytest.raises(ValueError, match="TextToImage.compile: beta must be a number of at least 0"):
        model().compile(beta=-1.0)
    with pytest.raises(ValueError, match="the recipe 'gan' has no encoder to find codes"):
        tiny_text.model("gan", codes=(2, 2), generator=None)
    with pytest.raises(ValueError, match=r"codes must be \(words, values\), such as \(16, 8\); got 16"):
        model(codes=16)
    with pytest.raises(ValueError, match=r"the logits of all code words, shape \(batch, 4\); got \(None, 8\)"):
        model(encoder=tiny_text.encoder(8))
