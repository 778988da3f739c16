"""Recipes and conditionings of TextToImage compared after equal processor time.

    taskset -c 0 python benchmarks/text_to_image.py --seconds 100
    taskset -c 0 python benchmarks/text_to_image.py --seconds 200 --data shapes

Every variant trains on the same images and MiniLM features for the same processor time, then generates images from 300
captions. For OpenMoji the score is how often the right image is nearer than 99 others (16x16 mean colours, chance 1%).
For kgen.data.captioned_shapes it is the share of images, from captions not used in training, that show each attribute,
and all of them. Prints a table in Markdown.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import keras
import text_to_image as example
from clock import Seconds

import kgen
from kgen.command.captioned_training import retrieval

# name: (recipe, has tokens, sizes of the decoder)
VARIANTS = {
    "VAE, pooled and tokens (default)": ("vae", True, {}),
    "VAE, pooled": ("vae", False, {"blocks": (0, 2), "attention_resolutions": ()}),
    "VAE, sigma 0.5": ("vae", True, {}),
    "VAE-GAN": ("vae_gan", True, {}),
    "GAN": ("gan", True, {}),
}


def measure(name, data, encoder, seconds):
    kind, tokens, sizes = VARIANTS[name]
    keras.utils.set_random_seed(0)
    token_dim = encoder.token_dim if tokens else None
    activation = "tanh" if kind == "gan" else "linear"
    generator = kgen.networks.text_generator(data.image_shape, 8, encoder.pooled_dim, token_dim, activation, **sizes)
    likelihood = kgen.losses.Gaussian(0.5) if name == "VAE, sigma 0.5" else None
    model = kgen.models.TextToImage(
        encoder, data.image_shape, kind, latent_dim=8, generator=generator, reconstruction=likelihood, seed=0
    )
    if kind == "vae":
        model.compile(keras.optimizers.Adam(1.5e-3, beta_2=0.99, global_clipnorm=1.0))
    else:
        model.compile()
    clock = Seconds(seconds)
    model.fit(data, epochs=10_000, verbose=0, callbacks=[clock])
    spent = time.process_time() - clock.begin
    return clock.steps, 1000 * spent / clock.steps, model


def shapes_score(model, queries=300):
    """Share of images from unseen captions that show each attribute, and all, according to the exact reader."""
    unseen = kgen.data.captioned_shapes(queries, image_size=model.image_shape[0], seed=1, split="seen")
    images = model.generate([captions[0] for captions in unseen.captions], seed=0, verbose=0)
    matches = [
        kgen.data.attributes_match(expected, kgen.data.read_shapes(image))
        for expected, image in zip(unseen.attributes, images)
    ]
    names = ["background", "count", "color", "shape", "size", "relation"]
    shares = {name: [match[name] for match in matches if name in match] for name in names}
    shares["all"] = [all(match.values()) for match in matches]
    return ", ".join(f"{name} {sum(values) / len(values):.0%}" for name, values in shares.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="processor time for each variant")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--data", choices=["openmoji", "shapes"], default="openmoji")
    options = parser.parse_args()
    if options.data == "shapes":
        data = kgen.data.captioned_shapes(8000, image_size=32, seed=0)
    else:
        data = example.openmoji(64)
    encoder = kgen.text.TextEncoder.of("tiny_minilm_en_zh", sequence_length=16)
    print(f"{len(data)} images, {sum(map(len, data.captions))} captions, {options.seconds:.0f} s of processor time\n")
    print("| variant | steps | ms a step | score |\n|-|-|-|-|", flush=True)
    for name in options.variants:
        steps, milliseconds, model = measure(name, data, encoder, options.seconds)
        score = shapes_score(model) if options.data == "shapes" else f"{retrieval(model, data)[0]:.0%}"
        print(f"| {name} | {steps} | {milliseconds:.0f} | {score} |", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\nPeak memory {peak:.1f} GiB; keras {keras.__version__} on {keras.backend.backend()}.")


if __name__ == "__main__":
    main()
