"""Makes the preset avatars_128: people from words, in English and Chinese, with many images for each caption.

    pip install "keras-kgen[demo]"
    python kgen/presets/avatars_128/train.py --steps 4500 --output avatars_128
    python kgen/presets/avatars_128/train.py --picture docs/text_to_image.png   # README's, with two other presets

A small text encoder and a conditional VAE in the latents of tiny_f8 learn together. The VAE's latents are code words
that describe what a caption leaves out, and their prior reads the caption.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kgen
from kgen import networks
from kgen.models import TextToImage
from kgen.spaces import LatentSpace

PROMPTS = [
    "a person with pigtails and sunglasses",
    "someone with a full beard, wearing a blue sweater",
    "a person with short red curls and a smile",
    "一个人，戴着眼镜，黑色长发",
]
# Prompts of README's image.
SHOWN = ["a person with pigtails and sunglasses", "a person with short red curls and a smile"]
# Things in colours that scenes_128 never saw them in.
SCENES = ["two foxes", "three pandas", "a blue dog", "a pink rabbit", "a green owl", "a purple penguin"]
THINGS = ["a red apple", "a black cat", "a rocket", "a smiling face", "a guitar", "a snowman"]


def text_encoder(captions, options):
    """A small encoder that is trained together with the generator."""
    small = kgen.text.encoder_from_captions(
        captions, 2000, width=options.width, num_layers=2, num_heads=4, sequence_length=48, seed=0
    )
    return kgen.text.TextEncoder(small.backbone, small.preprocessor, trainable=True)


def untrained(encoder, options):
    """The model, in the current dtype policy."""
    shape, space = (128, 128, 3), LatentSpace(options.space)
    codes = None if options.codes is None else tuple(options.codes)
    latent_dim = options.latent_dim if codes is None else codes[0] * codes[1]
    # Half the default width, for a small file.
    generator = networks.text_generator(
        space.shape("train", shape),
        latent_dim,
        encoder.pooled_dim,
        encoder.token_dim,
        latents=True,
        condition_dim=options.condition_dim,
    )
    parts = {"generator": generator, "reconstruction": kgen.losses.Gaussian(options.sigma), "space": space}
    return TextToImage(encoder, shape, latent_dim=latent_dim, codes=codes, seed=0, **parts)


def train(data, options):
    """The trained model in float32, whatever its training policy, with a frozen text encoder."""
    keras.utils.set_random_seed(0)
    run = {name: str(value) for name, value in vars(options).items() if name != "picture"}
    encoder = text_encoder([caption for each in data.captions for caption in each], options)
    keras.config.set_dtype_policy(options.policy)
    model = untrained(encoder, options)
    if options.start:
        model.set_weights(TextToImage.from_preset(options.start).get_weights())
    if options.renew:
        explained = kgen.sampling.renew_code_words(model, data, words=options.renew, steps=options.renew_steps)
        print(f"{options.renew} renewed words explain {explained:.0%} of the error", flush=True)
    batches = -(-len(data) // options.batch_size)
    epochs = max(1, options.steps // batches)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, epochs * batches, alpha=0.02, warmup_target=options.rate, warmup_steps=200
    )
    optimizer = keras.optimizers.Adam(schedule, beta_2=0.99, global_clipnorm=1.0)
    model.compile(optimizer, beta=options.beta)
    prompts = [prompt for prompt in PROMPTS for _ in range(8)]
    callbacks = [
        kgen.callbacks.SampleGrid(options.output.with_name(f"{options.output.name}_samples"), prompts, 3, columns=8),
        kgen.callbacks.Backup(options.output.with_name(f"{options.output.name}_run"), run),
    ]
    cache = options.output.with_name(f"{options.output.name}_latents")
    model.fit(
        data, batch_size=options.batch_size, epochs=epochs, callbacks=callbacks, latent_cache=str(cache), verbose=2
    )
    keras.config.set_dtype_policy("float32")
    frozen = kgen.text.TextEncoder(encoder.backbone, encoder.preprocessor)
    plain = untrained(frozen, options)
    plain.set_weights(model.get_weights())
    # The averaged weights are the ones that generate, and a preset saves equal weights only once.
    plain.generator.set_weights(plain.average.network.get_weights())
    for standards in (plain.standardize_pooled, plain.standardize_tokens):
        # The generator was trained on features without standardization.
        standards.adapted.assign(1.0)
    plain.image_input.float_range = model.image_input.float_range
    return plain


def people(options, images, captions=2):
    """Captioned avatars."""
    said = {"languages": ("en", "zh"), "captions": captions}
    return kgen.data.avatars(images, 128, seed=0, style=options.style, **said, verbose=0)


def fit_prior(model, options):
    """Fits the prior of a trained model to the latents of its images, of more images and of more captions."""
    data = people(options, max(options.images, options.prior_images), options.prior_captions)
    steps = {} if options.codes is None else {"steps": options.prior_steps}
    print(f"the prior gains {model.fit_prior(data, **steps, verbose=0):.1f} nats", flush=True)


def grid(model, file):
    """Four prompts with eight seeds each."""
    # The font has no Chinese characters.
    said = [*PROMPTS[:-1], "in Chinese: a person with glasses and long black hair"]
    images = model.generate(PROMPTS, num_images=8, seed=0)
    kgen.visualization.save_images(file, images, [each for each in said for _ in range(8)], columns=8)


def picture(file):
    """Two prompts with six seeds each, six scenes, and six other things."""
    people = TextToImage.from_preset("avatars_128")
    images = [people.generate(prompt, num_images=6, seed=0, verbose=0) for prompt in SHOWN]
    for name, prompts in (("scenes_128", SCENES), ("openmoji_128", THINGS)):
        images.append(TextToImage.from_preset(name).generate(prompts, seed=0, verbose=0))
    prompts = [prompt for prompt in SHOWN for _ in range(6)] + SCENES + THINGS
    kgen.visualization.save_images(file, np.concatenate(images), prompts, columns=6)


def main():
    """Trains and writes the preset."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("avatars_128"))
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--style", default="personas", choices=("personas", "big_smile"))
    parser.add_argument("--steps", type=int, default=12000, help="0 with --start: only refit the prior")
    parser.add_argument("--prior-steps", type=int, default=2000, help="steps of the prior alone at the end, with codes")
    parser.add_argument("--prior-images", type=int, default=0, help="images for that, if more than --images")
    parser.add_argument("--prior-captions", type=int, default=2, help="captions of each of them, in each language")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--codes", type=int, nargs=2, default=(24, 8), help="words and values; see TextToImage")
    parser.add_argument("--latent-dim", type=int, default=32, help="size of normal latents, without codes")
    parser.add_argument("--normal", dest="codes", action="store_const", const=None, help="normal latents")
    parser.add_argument("--sigma", type=float, default=2.0, help="standard deviation of the latents of tiny_f8")
    parser.add_argument("--beta", type=float, default=1.0)
    parser.add_argument("--condition-dim", type=int, default=256, help="size of the generator's condition")
    parser.add_argument("--width", type=int, default=128, help="width of the text encoder")
    parser.add_argument("--space", default="tiny_f8", help="a preset's name or directory")
    parser.add_argument("--start", help="preset or directory to continue from, of the same sizes")
    parser.add_argument("--renew", type=int, default=0, help="code words to give a new meaning first, with --start")
    parser.add_argument("--renew-steps", type=int, default=800, help="steps in which the encoder learns these words")
    parser.add_argument("--picture", type=Path, help="train nothing; write README's image to this file")
    parser.add_argument("--policy", default="float32", help="mixed_bfloat16 on a processor with AMX, or a GPU")
    options = parser.parse_args()
    if options.picture:
        return picture(options.picture)
    start = time.process_time()
    model = train(people(options, options.images), options) if options.steps else TextToImage.from_preset(options.start)
    fit_prior(model, options)
    print(f"{time.process_time() - start:.0f} s of CPU time, {model.count_params():,} weights", flush=True)
    model.save_to_preset(options.output, dtype="int8", shared_with=["tiny_f8", "tiny_minilm_en_zh"])
    grid(model, options.output / "images.png")


if __name__ == "__main__":
    main()
