import keras
import keras_hub
import numpy as np
import pytest

from kgen.data import caption_folder
from kgen.models import ImageCaptioner
from tests.models import tiny_text
from tests.text.tiny_language_models import sentence_pieces


def pali_gemma():
    """A tiny random PaliGemma of 16x16 images with a vocabulary of letters."""
    models = keras_hub.models
    tokenizer = models.PaliGemmaTokenizer(sentence_pieces("\n", start="<bos>", end="<eos>", unknown="<unk>"))
    converter = keras_hub.layers.PaliGemmaImageConverter(image_size=(16, 16), scale=1 / 127.5, offset=-1.0)
    backbone = models.PaliGemmaBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        image_size=16,
        num_layers=1,
        num_query_heads=2,
        num_key_value_heads=1,
        hidden_dim=8,
        intermediate_dim=16,
        head_dim=4,
        vit_patch_size=8,
        vit_num_heads=2,
        vit_hidden_dim=8,
        vit_num_layers=1,
        vit_intermediate_dim=16,
    )
    preprocessor = models.PaliGemmaCausalLMPreprocessor(tokenizer, converter, sequence_length=24)
    language_model = models.PaliGemmaCausalLM(preprocessor, backbone)
    language_model.compile(sampler="greedy", run_eagerly=True)
    return language_model


class Writer:
    """Has the signature of an image-to-text model of KerasHub, and says how bright images are."""

    def __init__(self, answer=lambda prompt, level: f"{prompt}level {level}\n"):
        self.answer = answer
        self.seen = []

    def generate(self, inputs, max_length=None):
        self.seen.append((inputs["images"], inputs["prompts"], max_length))
        levels = np.round(inputs["images"].mean(axis=(1, 2, 3))).astype(int)
        return [self.answer(*each) for each in zip(inputs["prompts"], levels)]


def grey(*levels, size=8):
    return np.broadcast_to(np.uint8(levels)[:, None, None, None], (len(levels), size, size, 3))


@pytest.mark.backends
def test_chooses_what_the_dual_encoder_would():
    encoder = tiny_text.dual_encoder()
    images, captions = tiny_text.pictures(6)
    bank = sorted({text for texts in captions for text in texts})
    captioner = ImageCaptioner(encoder, bank=[*bank, bank[0]])
    assert captioner.bank == bank and captioner.image_size == min(encoder.image_shape[:2])
    assert captioner.caption(images, batch_size=4) == encoder.caption(images, bank)
    assert captioner.caption(images[1]) == encoder.caption(images[1], bank)
    # Also after it has learned more.
    asked, encode = [], encoder.encode_texts
    encoder.encode_texts = lambda texts, *options: asked.append(texts) or encode(texts, *options)
    captioner.caption(images)
    assert not asked
    encoder.compile()
    encoder.fit(images, captions, epochs=2, verbose=0)
    captioner.caption(images)
    assert asked == [bank]
    # As many steps as before, counted from the last `compile`.
    encoder.compile()
    encoder.fit(images, captions, epochs=2, verbose=0)
    captioner.caption(images)
    assert asked == [bank] * 2


@pytest.mark.backends
def test_asks_a_language_model_image_by_image():
    writer = Writer()
    captioner = ImageCaptioner(writer, prompt="say\n", max_length=9)
    assert captioner.image_size == 224
    assert captioner.caption(grey(10, 20, 30), batch_size=2) == ["level 10", "level 20", "level 30"]
    assert [(len(images), prompts, length) for images, prompts, length in writer.seen] == [
        (2, ["say\n"] * 2, 9),
        (1, ["say\n"], 9),
    ]
    # From 0 to 255 whatever they come in.
    assert captioner.caption(grey(255)[0] / 255.0) == "level 255"
    assert captioner.caption(grey(0, 255) / 127.5 - 1.0) == ["level 0", "level 255"]


def test_pali_gemma(tensorflow_backend, tmp_path):
    from PIL import Image

    keras.utils.set_random_seed(0)
    captioner = ImageCaptioner(pali_gemma(), prompt="caption\n", max_length=16)
    assert captioner.image_size == 16
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 24, 3)).astype("uint8")
    captions = captioner.caption(images)
    assert len(captions) == 2 and all(text and "caption" not in text for text in captions)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    assert list(caption_folder(captioner, tmp_path, verbose=False)) == ["0.png", "1.png"]


def test_the_fingerprint_is_of_model_and_bank_or_prompt():
    encoder, writer = tiny_text.dual_encoder(), Writer()
    captioners = [
        ImageCaptioner(encoder, ["a", "b"]),
        ImageCaptioner(encoder, ["a", "c"]),
        ImageCaptioner(writer, prompt="a"),
        ImageCaptioner(writer, prompt="b"),
        ImageCaptioner(writer, prompt="b", max_length=9),
    ]
    assert len({captioner.fingerprint() for captioner in captioners}) == 5
    assert captioners[0].fingerprint() == ImageCaptioner(encoder, ["a", "b"]).fingerprint()
    before = captioners[0].fingerprint()
    encoder.image_projection.kernel.assign(encoder.image_projection.kernel * 2.0)
    assert captioners[0].fingerprint() != before


def test_what_is_wrong_says_so():
    with pytest.raises(TypeError, match="model must be a DualEncoder, or have generate.*; got int"):
        ImageCaptioner(3)
    with pytest.raises(ValueError, match="a DualEncoder chooses from a bank of captions"):
        ImageCaptioner(tiny_text.dual_encoder())
    with pytest.raises(ValueError, match="Writer writes its own captions; bank is only for a DualEncoder"):
        ImageCaptioner(Writer(), bank=["a"])
    with pytest.raises(ValueError, match="max_length must be an integer of at least 1; got 0"):
        ImageCaptioner(Writer(), max_length=0)
    with pytest.raises(ValueError, match=r"images must have shape \(N, height, width, 3\)"):
        ImageCaptioner(Writer()).caption(grey(1, 2)[..., :1])
    with pytest.raises(ValueError, match=r"generate\(\) must give 2 strings, one for each image"):
        ImageCaptioner(Writer(lambda prompt, level: level)).caption(grey(1, 2))
