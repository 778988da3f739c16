"""What every model of images owes, checked for each of them: ranges that no call changes, and `predict`."""

import warnings

import keras
import numpy as np
import pytest

from kgen.heads import ClassificationHead, ReconstructionHead
from kgen.layers import GaussianNoise
from kgen.models import (
    GAN,
    VAE,
    Autoencoder,
    CycleGAN,
    ImageCaptioner,
    ImageClassifier,
    ImageRestorer,
    ImageSegmenter,
    MultiTaskModel,
    TextToImage,
)
from kgen.networks import restoration_network
from tests.models import tiny, tiny_latents, tiny_style, tiny_text
from tests.models.test_autoencoder import networks
from tests.models.test_recognition_model import backbone


# === Ranges: what a trained model says depends on what is asked and what is saved ===
def _bigger(images):
    """Of 16x16 in place of 8x8."""
    return images.repeat(2, axis=1).repeat(2, axis=2)


def _classifier():
    return ImageClassifier(tiny.encoder(8), tiny.CLASSES, ema_momentum=0.0, seed=0)


def _segmenter():
    return ImageSegmenter(backbone(), 2, filters=4, ema_momentum=0.0, seed=0)


def _restorer():
    return ImageRestorer([GaussianNoise(30)], network=restoration_network(3, filters=4, blocks=1), ema_momentum=0.0)


def _autoencoder():
    return Autoencoder(*networks(), ema_momentum=0.0)


def _cycle_gan():
    return CycleGAN(
        tiny.SHAPE, restoration_network(3, filters=4, blocks=1), discriminator=tiny.encoder(1), ema_momentum=0.0
    )


def _nothing(images):
    return ()


def _labels(images):
    return (np.arange(len(images)) % tiny.CLASSES,)


def _masks(images):
    return ((images.mean(axis=-1) > images.mean()).astype("uint8"),)


def _captions(images):
    return ([tiny_text.CAPTIONS[i % 8] for i in range(len(images))],)


def _same(images):
    return (images,)


# How to make a model, what `fit` takes beside images, the images, and a call. A verb that takes `value_range` gets it.
CASES = {
    "GAN.encode": (tiny.gan, _nothing, tiny.pictures, lambda m, x, **r: m.encode(x, steps=1, verbose=0, **r)),
    "GAN.classify": (tiny.ac_gan, _labels, tiny.pictures, lambda m, x, **r: m.classify(x, **r)),
    "VAE.encode": (tiny.vae, _nothing, tiny.pictures, lambda m, x, **r: m.encode(x, **r)),
    "VAE.reconstruct": (tiny.vae, _nothing, tiny.pictures, lambda m, x, **r: m.reconstruct(x, **r)),
    "VAE.elbo": (tiny.vae, _nothing, tiny.pictures, lambda m, x, **r: m.elbo(x, **r)),
    "VAE.classify": (
        lambda: tiny.vae(tiny.CLASSES),
        _labels,
        tiny.pictures,
        lambda m, x, **r: m.classify(x, samples=2, **r),
    ),
    "VAE.denoise": (
        tiny.vae,
        _nothing,
        tiny.pictures,
        # Its `value_range` says more: that the noise was not cut.
        lambda m, x, **r: m.denoise(x, 0.1, steps=1, samples=2, verbose=0),
    ),
    "DualEncoder.encode_images": (
        tiny_text.dual_encoder,
        _captions,
        lambda count: _bigger(tiny.pictures(count)),
        lambda m, x, **r: m.encode_images(x, **r),
    ),
    "ImageClassifier.classify": (_classifier, _labels, tiny.pictures, lambda m, x, **r: m.classify(x, **r)),
    "ImageSegmenter.segment": (_segmenter, _masks, lambda n: tiny.bands(n)[0], lambda m, x, **r: m.segment(x, **r)),
    "MultiTaskModel.answer": (
        lambda: MultiTaskModel(tiny.encoder(8), {"labels": ClassificationHead(tiny.CLASSES)}, seed=0),
        _labels,
        tiny.pictures,
        lambda m, x, **r: m.answer("labels", x, **r),
    ),
    "Autoencoder.encode": (_autoencoder, _nothing, tiny.pictures, lambda m, x, **r: m.encode(x, **r)),
    "Autoencoder.reconstruct": (_autoencoder, _nothing, tiny.pictures, lambda m, x, **r: m.reconstruct(x, **r)),
    "ImageRestorer.restore": (_restorer, _nothing, tiny.pictures, lambda m, x, **r: m.restore(x, **r)),
    "StyleTransfer.stylize": (
        tiny_style.model,
        _same,
        lambda count: _bigger(tiny.pictures(count)),
        lambda m, x, **r: m.stylize(x, x[:1], **r),
    ),
    "CycleGAN.translate": (_cycle_gan, _same, tiny.pictures, lambda m, x, **r: m.translate(x, **r)),
    "GAN.encode in latents": (
        tiny_latents.gan,
        _nothing,
        tiny_latents.pictures,
        lambda m, x, **r: m.encode(x, steps=1, verbose=0, **r),
    ),
    "GAN.classify in latents": (
        tiny_latents.ac_gan,
        _labels,
        tiny_latents.pictures,
        lambda m, x, **r: m.classify(x, **r),
    ),
    "VAE.encode in latents": (
        tiny_latents.vae,
        _nothing,
        tiny_latents.pictures,
        lambda m, x, **r: m.encode(x, **r),
    ),
    "VAE.reconstruct in latents": (
        tiny_latents.vae,
        _nothing,
        tiny_latents.pictures,
        lambda m, x, **r: m.reconstruct(x, **r),
    ),
    "VAE.elbo in latents": (tiny_latents.vae, _nothing, tiny_latents.pictures, lambda m, x, **r: m.elbo(x, **r)),
    "ImageCaptioner.caption": (
        tiny_text.dual_encoder,
        _captions,
        lambda count: _bigger(tiny.pictures(count)),
        lambda m, x, **r: np.array(
            [hash(text) for text in ImageCaptioner(m, tiny_text.CAPTIONS).caption(x, verbose=0, **r)]
        ),
    ),
}


@pytest.fixture
def eager(monkeypatch):
    tiny_latents.run_eagerly(monkeypatch)


@pytest.mark.parametrize(
    "case, trained_in", [*((case, (-1, 1)) for case in CASES), ("VAE.encode", (0, 1)), ("GAN.classify", (0, 1))]
)
def test_a_call_in_one_range_does_not_change_the_next_in_another(case, trained_in, tmp_path, eager):
    make, others, pictures, ask = CASES[case]
    levels = pictures(3)
    unit = levels / np.float32(255)
    signed = 2 * unit - 1
    training = pictures(8) / np.float32(255)
    training = training if trained_in == (0, 1) else 2 * training - 1
    model = make()
    model.compile(run_eagerly=True)
    model.fit(training, *others(training), batch_size=8, verbose=0)
    first = ask(model, unit)
    of_signed, of_levels = ask(model, signed), ask(model, levels)
    model.evaluate(2 * training - 1 if trained_in == (0, 1) else 0.5 * training + 0.5, *others(training), verbose=0)
    np.testing.assert_array_equal(ask(model, unit), first)
    np.testing.assert_array_equal(ask(model, signed), of_signed)
    same = dict(atol=1 if of_levels.dtype == "uint8" else 2e-3)
    np.testing.assert_allclose(of_signed.astype(float), of_levels, **same)
    # Floats without a negative value are in the range that the model was trained on, unless one says in which.
    as_trained = signed if trained_in == (0, 1) else np.where(unit == 0, np.float32(-1e-9), unit)
    np.testing.assert_allclose(first.astype(float), ask(model, as_trained), **same)
    np.testing.assert_allclose(ask(model, unit, value_range=trained_in).astype(float), first, **same)
    if case != "VAE.denoise":
        np.testing.assert_allclose(ask(model, unit, value_range=(0, 1)).astype(float), of_levels, **same)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(ask(loaded, unit), first)
    np.testing.assert_array_equal(ask(loaded, signed), of_signed)
    assert loaded.image_input.float_range == trained_in


# === predict gives what the model's own method gives ===
class Batches(keras.utils.PyDataset):
    """Images with answers, four at a time."""

    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return -(-len(self.arrays[0]) // 4)

    def __getitem__(self, index):
        return tuple(array[4 * index : 4 * index + 4] for array in self.arrays)


PREDICTS = {case.split(".")[0]: case for case in CASES if case.split(".")[1] in ("classify", "segment", "answer")}
PREDICTS |= {
    "Autoencoder": "Autoencoder.reconstruct",
    "ImageRestorer": "ImageRestorer.restore",
    "CycleGAN": "CycleGAN.translate",
    "VAE": "VAE.reconstruct",
}
del PREDICTS["GAN"]


@pytest.mark.backends
@pytest.mark.parametrize("case", PREDICTS.values(), ids=PREDICTS)
def test_predict_is_the_models_own_method(case, eager):
    make, others, pictures, ask = CASES[case]
    levels, model = pictures(6), make()
    model.average.updates.assign(1.0)
    signed = levels / np.float32(127.5) - 1
    expected = ask(model, levels)

    def same(found):
        found = found["labels"] if case == "MultiTaskModel.answer" else found
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.astype(float), expected, atol=1 if expected.dtype == "uint8" else 1e-4)

    same(model.predict(levels, verbose=0))
    same(model.predict(signed, batch_size=4, verbose=0))
    same(model.predict_on_batch(levels))
    same(model.predict({"images": levels}, verbose=0))
    same(model.predict(Batches(levels, *others(levels)), verbose=0))
    same(model.predict(((signed[i : i + 2],) for i in (0, 2, 4)), verbose=0))
    assert len(keras.tree.flatten(model.predict(Batches(levels), steps=1, verbose=0))[0]) == 4
    with pytest.raises(ValueError, match=r"predict: there are no images"):
        model.predict(iter(()))


def test_one_range_for_all_batches_that_are_predicted(eager):
    """The first batch shows the range of all, as in `fit`."""
    model = _classifier()
    signed = tiny.pictures(8) / np.float32(127.5) - 1
    signed[4:] = 0.5 * np.abs(signed[4:])
    expected = model.classify(signed)
    np.testing.assert_allclose(model.predict(Batches(signed), verbose=0), expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"value_range is \(0, 1\), but images have values from -1 to 1"):
        model.predict(Batches(signed[::-1]), verbose=0)
    by_hand = model.predict(Batches(signed[::-1]), value_range=(-1, 1), verbose=0)
    np.testing.assert_allclose(by_hand, expected[::-1], atol=1e-5)


def test_labels_reach_a_vae_of_classes(eager):
    model, levels, labels = tiny.vae(tiny.CLASSES), tiny.pictures(6), tiny.labels(6)
    expected = model.reconstruct(levels, labels)
    for given in ({"images": levels, "labels": labels}, (levels, labels), Batches(levels, labels)):
        np.testing.assert_allclose(model.predict(given, verbose=0).astype(int), expected, atol=1)


@pytest.mark.parametrize(
    "make, methods",
    [
        (tiny.gan, "generate for new images, decode for images of latents, classify or encode"),
        (tiny_text.model, r"generate\(prompts\)"),
        (tiny_text.dual_encoder, "encode_images, encode_texts, classify, retrieve or caption"),
        (tiny_style.model, r"stylize\(content, style\)"),
    ],
)
def test_predict_is_refused_where_it_has_no_one_meaning(make, methods):
    model = make()
    for method in (model.predict, model.predict_on_batch):
        with pytest.raises(
            NotImplementedError, match=rf"{type(model).__name__}.predict: it is ambiguous .* call {methods}"
        ):
            method(tiny.pictures(2))


@pytest.mark.parametrize("make, method", [(_classifier, "classify"), (tiny.vae, "reconstruct"), (tiny.gan, "generate")])
def test_a_model_that_is_called_takes_what_its_networks_take(make, method):
    with pytest.raises(TypeError, match=rf"in the range of its networks.* got uint8. For images .* use {method}"):
        make()(tiny.pictures(2))


# === A sigmoid at the end ===
def _teacher():
    model = _classifier()
    model.compile(teacher=keras.Sequential([tiny.encoder(3), keras.layers.Softmax(name="last")], name="teacher"))


def _judge(activation):
    return keras.Sequential([tiny.encoder(4), keras.layers.Dense(1, activation, name="last")], name="judge")


def _drawer(activation):
    return keras.Sequential([tiny.decoder(), keras.layers.Activation(activation, name="last")], name="drawer")


def _style_decoder():
    own = tiny_style.style_decoder(6, 2, filters=4, max_filters=4)
    outputs = keras.layers.Activation("sigmoid", name="last")(own.output)
    return keras.Model(own.input, outputs, name="drawer")


def _text_generator():
    own = tiny.decoder(16)
    return keras.Model(own.input, keras.layers.Activation("sigmoid", name="last")(own.output), name="drawer")


GAN_PARTS = {"latent_dim": tiny.LATENT_DIM}
VAE_PARTS = {"encoder": tiny.encoder(2 * tiny.LATENT_DIM), "latent_dim": tiny.LATENT_DIM}
PIXELS, LOGITS = "read as values from -1 to 1.*Rescaling", "computed from logits"


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GAN(_drawer("sigmoid"), tiny.encoder(1), **GAN_PARTS), f"GAN: the generator 'drawer' .* {PIXELS}"),
        (lambda: GAN(tiny.decoder(), _judge("sigmoid"), **GAN_PARTS), f"GAN: the discriminator 'judge' .* {LOGITS}"),
        (lambda: VAE(decoder=_drawer("sigmoid"), **VAE_PARTS), f"VAE: the decoder 'drawer' .* {PIXELS}"),
        (
            lambda: VAE(decoder=_drawer("sigmoid"), reconstruction="bernoulli", **VAE_PARTS),
            f"VAE: the decoder 'drawer' .* {LOGITS}",
        ),
        (
            lambda: VAE(decoder=tiny.decoder(), discriminator=_judge("sigmoid"), **VAE_PARTS),
            f"VAE: the discriminator 'judge' .* {LOGITS}",
        ),
        (
            lambda: TextToImage(
                tiny_text.text_encoder(), tiny.SHAPE, **{**tiny.networks_for_text(16), "generator": _text_generator()}
            ),
            f"TextToImage: the generator 'drawer' .* {PIXELS}",
        ),
        (
            lambda: ImageRestorer(GaussianNoise(3), discriminator=_judge("sigmoid")),
            f"ImageRestorer: the discriminator 'judge' .* {LOGITS}",
        ),
        (
            lambda: CycleGAN(tiny.SHAPE, discriminator=_judge("sigmoid")),
            f"CycleGAN: the discriminator 'judge' .* {LOGITS}",
        ),
        (lambda: tiny_style.model(decoder=_style_decoder()), f"StyleTransfer: the decoder 'drawer' .* {PIXELS}"),
        (lambda: ReconstructionHead(_drawer("sigmoid")), f"ReconstructionHead: the decoder 'drawer' .* {PIXELS}"),
        (_teacher, f"ImageClassifier.compile: the teacher 'teacher' .* {LOGITS}"),
    ],
)
def test_a_sigmoid_at_the_end_is_told_of(make, message):
    with pytest.warns(UserWarning, match=message) as seen:
        make()
    assert any("in the layer 'last'" in str(each.message) for each in seen)


def test_nothing_is_said_of_networks_that_end_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GAN(_drawer("tanh"), _judge(None), **GAN_PARTS)
        VAE(decoder=tiny.decoder(), reconstruction="bernoulli", **VAE_PARTS)
        _restorer()
        _cycle_gan()
        GAN.from_image_shape((8, 8, 3))
