"""Makes the preset scenes_128: one to three animals or foods, in colours.

    pip install "keras-kgen[demo]"
    npm pack @iconify-json/noto && tar xzf iconify-json-noto-*.tgz
    python kgen/presets/scenes_128/train.py package --policy mixed_bfloat16 --output scenes_128
    python kgen/presets/scenes_128/train.py package --measure scenes_128

A conditional VAE in the latents of tiny_f8 reads every word of a caption, by cross-attention to the tokens of
tiny_minilm_en_zh. It learns the scenes of `kgen.data.compose`, which hold out an eighth of all pairs of a thing and a
count or a colour. `--measure` tests pairs that the model learned, and pairs that it never saw.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kgen
from kgen.data.compose import TINTS
from kgen.models import TextToImage

# None of the first twelve pairs was ever in training.
SHOWN = [
    "two doughnuts", "two mushrooms", "three bananas", "three frogs", "three lemons", "three hamburgers",
    "a blue pear", "a blue dog", "a pink rabbit", "a green owl", "a purple penguin", "a red elephant",
    "a cat", "two cats", "three cats", "a blue cat", "two pandas", "a fish above an onion",
]  # fmt: skip
GROUPS = ["animals-nature", "food-drink"]
# The features that images are compared by: mean colours of 16 x 16 areas.
COLOURS = kgen.metrics.FeatureExtractor(keras.layers.Flatten(), name="colours", image_size=16)
KINDS = {"one": [None], "two or three": ["two", "three"], "in another colour": list(TINTS)}


def scenes(options, n, split="train", seed=0):
    """Scenes of the icons; each caption always has the same image."""
    cutouts = kgen.data.icons(options.icons, 128, styles=False, groups=GROUPS, background=None, verbose=0)
    return kgen.data.compose(cutouts, n, seed=seed, split=split, vary=False)


def train(options):
    """The trained model in float32, whatever its training policy, with the averaged weights."""
    keras.utils.set_random_seed(0)
    run = {name: str(value) for name, value in vars(options).items()}
    data = scenes(options, options.images, seed=options.seed)
    keras.config.set_dtype_policy(options.policy)
    model = TextToImage("tiny_minilm_en_zh", (128, 128, 3), seed=0)
    if options.start:
        model.set_weights(TextToImage.from_preset(options.start).get_weights())
    batches = -(-len(data) // options.batch_size)
    epochs = max(1, options.steps // batches)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, epochs * batches, alpha=0.02, warmup_target=options.rate, warmup_steps=200
    )
    model.compile(keras.optimizers.Adam(schedule, beta_2=0.99, global_clipnorm=1.0))
    beside = [options.output.with_name(f"{options.output.name}_{what}") for what in ("samples", "run", "latents")]
    callbacks = [kgen.callbacks.SampleGrid(beside[0], SHOWN, 2, columns=6), kgen.callbacks.Backup(beside[1], run)]
    model.fit(
        data,
        batch_size=options.batch_size,
        epochs=epochs,
        callbacks=callbacks,
        latent_cache=str(beside[2]),
        verbose=2,
    )
    keras.config.set_dtype_policy("float32")
    return kgen.presets.averaged_copy(model)


# === How good it is ===
def measure(model, options):
    """Prints how often a drawing is closest to its own image, among 100 things and among other scenes of its thing."""
    known = {}
    for split in ("train", "held_out"):
        data = scenes(options, options.images, split)
        for image, (caption,), scene in zip(data.images, data.captions, data.attributes):
            if not scene["relation"]:
                word = scene["count"] or scene["color"]
                known[word, scene["names"][0]] = caption, image, split
    at = {pair: number for number, pair in enumerate(known)}
    captions, images, splits = zip(*known.values())
    real, random = COLOURS.extract(np.stack(images), verbose=0), np.random.default_rng(0)

    def drawn(texts):
        return COLOURS.extract(model.generate(texts, seed=0, verbose=0), verbose=0)

    def is_nearest(found, pair, others):
        rows = [at[other] for other in others if other != pair]
        distances = np.square(real[[at[pair], *rows]] - found).sum(axis=1)
        return distances.argmin() == 0

    print("| pairs | asked for | right thing of 100 | right number and colour | both |\n|-|-|-|-|-|")
    for kind, words in KINDS.items():
        for split, title in (("train", "in training"), ("held_out", "never seen")):
            asked = [pair for pair in known if pair[0] in words and splits[at[pair]] == split]
            asked = [asked[i] for i in random.permutation(len(asked))[: options.asked]]
            if not asked:
                continue
            right = []
            for pair, found in zip(asked, drawn([captions[at[pair]] for pair in asked])):
                things = [other for other in known if other[0] == pair[0] and other != pair]
                things = [things[i] for i in random.permutation(len(things))[:99]]
                same = [other for other in known if other[1] == pair[1]]
                right.append((is_nearest(found, pair, things), is_nearest(found, pair, same)))
            shares = [*np.mean(right, axis=0), np.all(right, axis=1).mean()]
            print(f"| {kind}, {title} | {len(asked)} | {' | '.join(f'{share:.1%}' for share in shares)} |", flush=True)
    # Two things: there are so many pairs that almost no scene of another seed was in training.
    data = scenes(options, 4 * options.asked, "seen")
    pairs = [i for i, scene in enumerate(data.attributes) if scene["relation"]]
    real, found = COLOURS.extract(data.images[pairs], verbose=0), drawn([data.captions[i][0] for i in pairs])
    nearest = np.square(found[:, None] - real[None]).sum(axis=-1).argmin(axis=1)
    share = np.mean(nearest == np.arange(len(pairs)))
    print(f"two things beside or above each other: the right one of {len(pairs)} scenes for {share:.1%}")


def main():
    """Trains, writes and measures the preset."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("icons", help="an unpacked npm package of Iconify's, such as @iconify-json/noto")
    parser.add_argument("--output", type=Path, default=Path("scenes_128"))
    parser.add_argument("--images", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenes")
    parser.add_argument("--start", help="preset or directory to continue from")
    parser.add_argument("--steps", type=int, default=14000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--policy", default="float32", help="mixed_bfloat16 on a processor with AMX, or a GPU")
    parser.add_argument("--asked", type=int, default=300, help="how many pairs of each kind to measure")
    parser.add_argument("--measure", help="train nothing; measure this preset")
    options = parser.parse_args()
    if options.measure:
        return measure(TextToImage.from_preset(options.measure), options)
    start = time.process_time()
    model = train(options)
    print(f"{time.process_time() - start:.0f} s of CPU time, {model.count_params():,} weights", flush=True)
    model.save_to_preset(options.output, dtype="int8", shared_with=["tiny_f8", "tiny_minilm_en_zh"])
    model = TextToImage.from_preset(options.output)
    kgen.visualization.save_images(options.output / "images.png", model.generate(SHOWN, seed=0), SHOWN, columns=6)
    measure(model, options)


if __name__ == "__main__":
    main()
