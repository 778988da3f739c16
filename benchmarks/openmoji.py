"""How well a text-to-image model draws OpenMoji: sharpness, distance from the originals, descriptions, other names.

    python benchmarks/openmoji.py openmoji_128
    python benchmarks/openmoji.py openmoji_128 --text-encoder auto      # MiniLM for English; or a preset
    python benchmarks/openmoji.py tiny_f8               # an autoencoder: its reconstructions of the originals

It takes a preset, or a directory of one, and draws the name of each emoji at 128 pixels. How often names themselves are
drawn right is in the table that `kgen/presets/openmoji_64/train.py` prints.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from openmoji_descriptions import FIRST, SECOND, THIRD
from PIL import Image

import kgen
from kgen.models import TextToImage

# Images are compared by mean colours of 16 x 16 areas.
COLOURS = kgen.metrics.FeatureExtractor(keras.layers.Flatten(), name="colours", image_size=16)


def described(model, images, descriptions):
    """How often a description's image is closest to its own out of 100, the others at random, over many draws."""
    number = {each[0]: i for i, each in enumerate(images.captions)}
    drawn = COLOURS.extract(model.generate(list(descriptions), seed=1, verbose=0), verbose=0)
    real = COLOURS.extract(images.images, verbose=0)
    random, right = np.random.default_rng(0), []
    for found, name in zip(drawn, descriptions.values()):
        distances = np.square(real - found).sum(axis=1)
        others = np.delete(distances, number[name])
        right += [distances[number[name]] < random.choice(others, 99, replace=False).min() for _ in range(100)]
    return np.mean(right)


def not_remembered(model, images):
    """How often the last name of an emoji draws the right one of 100 if the memory knows only its other names."""
    names = [each[:-1] or each for each in images.captions]
    model.remember(names, sharpness=model.memory.sharpness, verbose=0)
    asked = {i: each[-1] for i, each in enumerate(images.captions) if len(each) > 1}
    recall = kgen.metrics.RetrievalRecall(COLOURS, among=100, similarity="euclidean")
    recall.update_state(images.images[list(asked)], model.generate(list(asked.values()), seed=1, verbose=0))
    return len(asked), recall.result()["recall_at_1_colours"]


def laplacian_variance(images):
    grey = images.astype("float32").mean(axis=-1)
    sides = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return float(np.mean((sides - 4.0 * grey[:, 1:-1, 1:-1]).var(axis=(1, 2))))


def measure(name, text_encoder, size=128):
    """Prints all numbers, at `size` pixels."""
    real, model = kgen.data.openmoji(size, verbose=False), kgen.presets.load_preset(name)
    draws = isinstance(model, TextToImage)
    if text_encoder == "auto":
        model = TextToImage.from_preset(name, text_encoder="auto")
    elif text_encoder:
        model = model.with_text_encoder(text_encoder)
    names = [each[0] for each in real.captions]
    drawn = model.generate(names, seed=1, verbose=0) if draws else model.reconstruct(real.images, verbose=0)
    if drawn.shape[1] != size:
        drawn = np.stack([Image.fromarray(each).resize((size, size), Image.Resampling.BICUBIC) for each in drawn])

    distance = kgen.metrics.FrechetDistance("efficientnet_lite0")
    distance.update_state(real.images, drawn)
    sharpness = laplacian_variance(drawn) / laplacian_variance(real.images)
    print(f"at {size} px: Laplacian variance {sharpness:.0%} of the originals'")
    print(f"Frechet distance in features of EfficientNet-Lite0 {distance.result():.1f}", flush=True)
    if draws:
        for which, texts in (("first", FIRST), ("second", SECOND), ("third", THIRD)):
            print(f"right one of 100 for {described(model, real, texts):.1%} of the {which} {len(texts)} descriptions")
        if model.memory is not None:
            count, right = not_remembered(model, real)
            print(f"right one of 100 for {right:.1%} of {count} last names that the memory does not know")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset", help="a text-to-image model or an autoencoder: a preset, or a directory of one")
    parser.add_argument("--text-encoder", help="another one than the preset's; also reads what the model remembers")
    options = parser.parse_args()
    measure(options.preset, options.text_encoder)


if __name__ == "__main__":
    main()
