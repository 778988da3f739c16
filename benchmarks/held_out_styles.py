"""Icons in a style in which the model never saw them: a "Noto cat", learned from three other sets' cats.

    npm pack @iconify-json/noto @iconify-json/twemoji @iconify-json/fluent-emoji-flat @iconify-json/openmoji
    for file in iconify-json-*.tgz; do mkdir "${file%.tgz}" && tar xzf "$file" -C "${file%.tgz}"; done
    python benchmarks/held_out_styles.py iconify-json-*/package --policy mixed_bfloat16 --output held_out_styles

Things that all sets draw are learned by their names and the words of the style. One thing in eight is kept out of one
set. The drawing of such a pair is right if, of 100 icons of that set, its own is the nearest by 16 x 16 mean colours;
it is in the style if, of all sets' icons of that thing, that of the set is the nearest. A drawing of another set, given
in its place, says how much of this the name alone is worth.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kgen
from kgen.data import CaptionedImages
from kgen.models import TextToImage

GROUPS = ["animals-nature", "food-drink", "travel-places", "objects", "activities"]
COLOURS = kgen.metrics.FeatureExtractor(keras.layers.Flatten(), name="colours", image_size=16)


class Icons:
    """Icons of the things that all sets draw, and which of them are kept out."""

    def __init__(self, directories):
        data = kgen.data.icons(directories, 128, groups=GROUPS)
        self.styles = sorted({each["style"] for each in data.attributes})
        found = {(each["name"], each["style"]): row for row, each in enumerate(data.attributes)}
        names = sorted({name for name, _ in found})
        self.names = [name for name in names if all((name, style) in found for style in self.styles)]
        rows = np.array([[found[name, style] for style in self.styles] for name in self.names])
        # By thing and style.
        self.images = data.images[rows]
        random = np.random.default_rng(0)
        things = random.permutation(len(self.names))[: len(self.names) // 8]
        self.held_out = list(zip(things, random.integers(len(self.styles), size=len(things))))

    def caption(self, thing, style):
        """What is asked for: short, as the encoder reads 16 tokens, and no piece of the style may be cut."""
        return f"{self.styles[style]} {self.names[thing]}"

    def training(self):
        """All other icons, with the style in words and without."""
        left_out = set(self.held_out)
        pairs = [pair for pair in np.ndindex(*self.images.shape[:2]) if pair not in left_out]
        captions = [[self.caption(*pair), self.names[pair[0]]] for pair in pairs]
        return CaptionedImages(np.stack([self.images[pair] for pair in pairs]), captions)


def trained(icons, options):
    """A `TextToImage` as it is by default, with the averaged weights, in float32."""
    keras.utils.set_random_seed(0)
    data = icons.training()
    keras.config.set_dtype_policy(options.policy)
    model = TextToImage("tiny_minilm_en_zh", (128, 128, 3), seed=0)
    batches = -(-len(data) // options.batch_size)
    epochs = max(1, options.steps // batches)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, epochs * batches, alpha=0.02, warmup_target=options.rate, warmup_steps=200
    )
    model.compile(keras.optimizers.Adam(schedule, beta_2=0.99, global_clipnorm=1.0))
    run = {name: str(value) for name, value in vars(options).items()}
    backup = kgen.callbacks.Backup(options.output, run, keep=True)
    model.fit(data, batch_size=options.batch_size, epochs=epochs, callbacks=[backup], verbose=2)
    keras.config.set_dtype_policy("float32")
    return kgen.presets.averaged_copy(model)


def measure(icons, pairs, drawn):
    """`(right of 100, in the style)` of drawings of pairs of a thing and a style, as shares."""
    real = COLOURS.extract(icons.images.reshape(-1, 128, 128, 3), verbose=0).reshape(*icons.images.shape[:2], -1)
    random, right, in_style = np.random.default_rng(0), [], []
    for (thing, style), found in zip(pairs, COLOURS.extract(drawn, verbose=0)):
        others = random.choice(np.delete(np.arange(len(real)), thing), 99, replace=False)
        distances = np.square(real[[thing, *others], style] - found).sum(axis=-1)
        right.append(distances.argmin() == 0)
        in_style.append(np.square(real[thing] - found).sum(axis=-1).argmin() == style)
    return np.mean(right), np.mean(in_style)


def report(model, icons, options):
    """Prints the table, and draws pairs that were kept out above the icons that they should be."""
    random = np.random.default_rng(1)
    left_out = set(icons.held_out)
    known = [pair for pair in np.ndindex(*icons.images.shape[:2]) if pair not in left_out]
    known = [known[i] for i in random.permutation(len(known))[: len(icons.held_out)]]
    seen, drawn = (
        model.generate([icons.caption(*pair) for pair in pairs], seed=0, verbose=0) for pairs in (known, icons.held_out)
    )
    others = np.stack([icons.images[thing, (style + 1) % len(icons.styles)] for thing, style in icons.held_out])
    print(f"| {len(icons.held_out)} pairs each | right one of 100 | in the style |\n|-|-|-|")
    for title, pairs, images in (
        ("in training", known, seen),
        ("never seen", icons.held_out, drawn),
        ("another set's icon in its place", icons.held_out, others),
    ):
        print(f"| {title} | {' | '.join(f'{share:.1%}' for share in measure(icons, pairs, images))} |")
    real = np.stack([icons.images[pair] for pair in icons.held_out[:12]])
    titles, of_real = [icons.caption(*pair) for pair in icons.held_out[:12]], ["the icon"] * 6
    grid = np.concatenate([drawn[:6], real[:6], drawn[6:12], real[6:]])
    captions = [*titles[:6], *of_real, *titles[6:], *of_real]
    kgen.visualization.save_images(options.output / "held_out.png", grid, captions, columns=6)


def main():
    """Trains and measures."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("directories", nargs="+", help="unpacked npm packages of Iconify's")
    parser.add_argument("--output", type=Path, default=Path("held_out_styles"), help="a run that was killed goes on")
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--policy", default="float32", help="mixed_bfloat16 on a processor with AMX, or a GPU")
    options = parser.parse_args()
    icons = Icons(options.directories)
    start = time.process_time()
    model = trained(icons, options)
    print(f"{time.process_time() - start:.0f} s of the processor, {model.count_params():,} weights", flush=True)
    model.save(options.output / "model.keras")
    report(model, icons, options)


if __name__ == "__main__":
    main()
