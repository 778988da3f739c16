"""What a text-to-image model of `kgen.data.avatars` draws: what captions say, and what they leave out.

    taskset -c 1 python benchmarks/avatars.py reader reader_personas.keras
    taskset -c 1 python benchmarks/avatars.py reader reader_big_smile.keras --style big_smile
    taskset -c 1 python benchmarks/avatars.py measure model.keras --reader reader_personas.keras --grid avatars.png

`reader` trains a network that reads every attribute back from a picture, and measures it on avatars of its own seed.
`measure` takes a preset, a directory of one or a `.keras` file, and prints Markdown: how often a picture shows all that
its caption names; how attributes that it does not name are distributed, beside the data's; how different the pictures
of one caption are; and how long one prompt takes. Real avatars, and real ones out of the model's latents, go through
the same reader: no model can do better.
"""

import argparse
import os
import time
import warnings
from importlib import import_module

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from avatar_reader import TEST_SEED, numbers, print_table, read, train_reader, values
from keras import ops
from PIL import Image, ImageDraw, ImageFont

import kgen
from kgen.data.avatar_styles import AVATAR_STYLES
from kgen.files import check_writable
from kgen.inputs.pixels import to_uint8
from kgen.models import TextToImage

# Of the real avatars that a caption's images are compared with.
REAL_SEED = 2


# === What captions say ===
def named_right(found, people, style, caption):
    """`(N, attributes)`: 1 where an image shows what its caption of that number names, 0 where not; else NaN."""
    truth = numbers(people, style)
    right = np.stack([(found[name] == truth[name]).astype("float64") for name in truth], axis=-1)
    named = [[name in person["named"][caption] for name in truth] for person in people]
    return np.where(named, right, np.nan)


def what_captions_say(model, reader, options):
    style, size = options.style, model.image_shape[0]
    table = [["images", *values(style), "all"]]
    for split in ("seen", "held_out"):
        for language in options.languages:
            data = kgen.data.avatars(options.captions, size, TEST_SEED, style, split, [language])
            sets = {f"{split}, {language}": model.generate([texts[0] for texts in data.captions], seed=0, verbose=0)}
            if language == options.languages[-1]:
                sets[f"{split}, real"] = data.images
                if model.space.stores:
                    sets[f"{split}, real, from latents"] = through_space(model, data.images)
            for kind, images in sets.items():
                right = named_right(read(reader, images), data.attributes, style, 0)
                table.append([kind, *np.nanmean(right, axis=0), np.mean(np.nanmin(right, axis=1))])
    print(f"\nImages that show what their caption names, of {options.captions} captions each:\n")
    print_table(table, ".1%")


def through_space(model, images):
    """Images encoded and decoded by the model's space."""

    def encode_and_decode(inputs):
        return to_uint8(model.space.decode(model.space.encode(ops.cast(inputs["images"], "float32") / 127.5 - 1.0)))

    return model.graphs.in_batches(encode_and_decode, {"images": images}, 16, verbose=0)


# === What captions leave out ===
def narrowed(style, person, named):
    """A style whose avatars all have the named attributes of a person; but what these hide is gone."""
    drawn = AVATAR_STYLES[style]
    attributes = dict(drawn.attributes)
    for name in named:
        # None stays, for DiceBear draws a part that may be missing by chance if nothing is said of it.
        choices = {value: choice for value, choice in attributes[name].choices.items() if value in (None, person[name])}
        attributes[name] = attributes[name]._replace(choices=choices)
    left_out = {name: 0.0 if name in named else share for name, share in drawn.left_out.items()}
    return drawn._replace(attributes=attributes, left_out=left_out)


def agreeing(people, person, named):
    """The numbers of the people who have the named attributes of a person."""
    return [i for i, other in enumerate(people) if all(other[name] == person[name] for name in named)]


def real_images(style, person, named, size, count):
    """Avatars of the training data that have the named attributes of a person: uint8 `(count, size, size, 3)`."""
    name = f"{style}-narrowed"
    AVATAR_STYLES[name] = narrowed(style, person, named)
    try:
        # Some are dropped: a beard may hide the mouth that was named.
        data = kgen.data.avatars(count + count // 2, size, REAL_SEED, name, verbose=0)
    finally:
        del AVATAR_STYLES[name]
    return data.images[agreeing(data.attributes, person, named)][:count]


def true_shares(style, person, named, draws=3000):
    """A dict from each attribute that is not named, and not fixed by those that are, to the shares of its values."""
    draw, random = import_module("kgen.data.avatars").random_person, np.random.default_rng(0)
    people = [draw(narrowed(style, person, named), random, False)[0] for _ in range(draws)]
    people = [people[i] for i in agreeing(people, person, named)]
    shares = {
        name: shares_of(found, len(values(style)[name]))
        for name, found in numbers(people, style).items()
        if name not in named
    }
    return {name: share for name, share in shares.items() if share.max() < 1.0}


def shares_of(found, count):
    return np.bincount(found, minlength=count) / len(found)


def far_apart(first, second):
    """Total variation distance of two distributions, or of rows of them."""
    return 0.5 * np.abs(first - second).sum(axis=-1)


def mean_distance(extractor, images):
    """The mean of `PerceptualLoss` over all pairs: the sum over maps of the mean of twice the unbiased variance."""
    maps = extractor.feature_maps(images)
    return sum(2.0 * float(np.var(ops.convert_to_numpy(each), axis=0, ddof=1).mean()) for each in maps)


def what_captions_leave_out(model, reader, options):
    style, size, count = options.style, model.image_shape[0], options.seeds
    data = kgen.data.avatars(options.open_captions, size, TEST_SEED, style, "seen", options.languages[:1])
    extractor, random = kgen.metrics.FeatureExtractor.of("efficientnet_lite0"), np.random.default_rng(0)
    distances = {kind: {name: [] for name in values(style)} for kind in ("generated", "real", "expected")}
    worst, apart, expected_worst = (0.0, ""), [], np.zeros(200)
    for texts, person in zip(data.captions, data.attributes):
        named = person["named"][0]
        generated = model.generate([texts[0]], num_images=count, seed=0, verbose=0)
        real = real_images(style, person, named, size, count)
        sets = {"generated": read(reader, generated), "real": read(reader, real)}
        for name, shares in true_shares(style, person, named).items():
            for kind, found in sets.items():
                distances[kind][name].append(far_apart(shares_of(found[name], len(shares)), shares))
            by_chance = far_apart(random.multinomial(count, shares, size=200) / count, shares)
            distances["expected"][name].append(by_chance.mean())
            expected_worst = np.maximum(expected_worst, by_chance)
            worst = max(worst, (distances["generated"][name][-1], f"{name} of {texts[0]!r}"))
        some = min(options.compared, count)
        apart.append([mean_distance(extractor, images[:some]) for images in (generated, real)])
    table = [["images", *values(style), "mean", "worst"]]
    for kind, by_name in distances.items():
        every = [distance for each in by_name.values() for distance in each]
        most = expected_worst.mean() if kind == "expected" else max(every)
        means = [np.mean(each) if each else np.nan for each in by_name.values()]
        table.append([{"expected": "drawn from the data's distribution"}.get(kind, kind), *means, np.mean(every), most])
    print(
        f"\nAttributes that a caption leaves out, in {count} images of each of {len(data)} captions: distance in total"
    )
    print("variation from the data's distribution, given what is named. Real images show what the reader mistakes:\n")
    print_table(table, ".3f")
    print(f"\nThe worst: {worst[1]}.")
    ratios = np.array([made / true for made, true in apart])
    print(
        "\nMean perceptual distance of two images of a caption, as a share of that of two real ones with the same named"
    )
    print(f"attributes: mean {ratios.mean():.0%}, least {ratios.min():.0%}, largest {ratios.max():.0%}.", flush=True)


# === Time and pictures ===
def how_long(model, options):
    texts = [texts[0] for texts in kgen.data.avatars(50, 16, TEST_SEED, options.style, "seen").captions]
    zero = {"seeds": np.zeros(1, "int32"), "indices": np.zeros(1, "int32")}

    def before_the_decoder(inputs):
        condition = model.sampler.condition(inputs)
        return model.sampler.synthesize(model.sampler.latents(inputs, condition), condition)

    def latents(text):
        features = model.sampler.prompts.features(model.sampler.prompts.read([text], "avatars"), verbose=0)
        model.graphs.in_batches(before_the_decoder, {**zero, **features}, verbose=0)

    tasks = {"generate": lambda text: model.generate(text, seed=0, verbose=0)}
    if model.space.stores:
        tasks["the part before the decoder"] = latents
    print(f"\nOne prompt, medians of {len(texts)} calls, on {len(os.sched_getaffinity(0))} core(s):\n")
    table = [["", "ms of the processor", "ms of the clock"]]
    for name, task in tasks.items():
        task(texts[0])
        spent = []
        with warnings.catch_warnings():
            # Of captions that are too long for the encoder, each of which it would name here.
            warnings.simplefilter("ignore")
            for text in texts:
                begin = time.process_time(), time.perf_counter()
                task(text)
                spent.append((time.process_time() - begin[0], time.perf_counter() - begin[1]))
        table.append([name, *np.median(spent, axis=0) * 1000])
    print_table(table, ".1f")


def draw_grid(model, options):
    """A row for each caption, with a column for each seed."""
    data = kgen.data.avatars(options.rows, 16, TEST_SEED, options.style, "seen", options.languages[:1])
    texts = [texts[0] for texts in data.captions]
    images = model.generate(texts, num_images=8, seed=0, verbose=0)
    rows = [kgen.visualization.image_grid(images[8 * i : 8 * i + 8], columns=8) for i in range(len(texts))]
    width, height = rows[0].size
    grid, font = Image.new("RGB", (width, len(rows) * (height + 20)), "white"), ImageFont.load_default(13)
    for i, (text, row) in enumerate(zip(texts, rows)):
        ImageDraw.Draw(grid).text((4, i * (height + 20) + 2), text, fill="black", font=font)
        grid.paste(row, (0, i * (height + 20) + 20))
    grid.save(options.grid)
    print(f"\n{options.grid}: {len(texts)} captions, eight seeds each")


def measure(options):
    reader = keras.saving.load_model(options.reader, compile=False)
    options.style = reader.name.removeprefix("reader_")
    if options.model.endswith(".keras"):
        model = keras.saving.load_model(options.model, compile=False)
    else:
        model = TextToImage.from_preset(options.model)
    what_captions_say(model, reader, options)
    what_captions_leave_out(model, reader, options)
    how_long(model, options)
    if options.grid:
        draw_grid(model, options)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    forms = {"formatter_class": argparse.ArgumentDefaultsHelpFormatter}
    command = commands.add_parser("reader", help="train what reads avatars", **forms)
    command.add_argument("output", help="file for it, such as reader_personas.keras")
    command.add_argument("--style", choices=list(AVATAR_STYLES), default="personas")
    command.add_argument("--images", type=int, default=8000, help="to train on")
    command.add_argument("--test-images", type=int, default=500, help="of each kind to measure it on")
    command.add_argument("--seconds", type=float, default=240, help="of the processor, for training")
    command.add_argument("--rate", type=float, default=3e-3)
    command.add_argument("--dtype", default="mixed_bfloat16", help="to train in; float32 without AMX")
    command.add_argument(
        "--autoencoder", nargs="+", help="learn from its reconstructions too: a preset, or an encoder and a decoder"
    )
    command.add_argument("--reconstructed", type=int, default=1000, help="images that it reconstructs")
    command = commands.add_parser("measure", help="measure a model", **forms)
    command.add_argument("model", help="a preset of a TextToImage, its directory, or a .keras file")
    command.add_argument("--reader", required=True, help="file that `reader` wrote; it knows its style")
    command.add_argument("--languages", nargs="+", choices=["en", "zh"], default=["en", "zh"], help="of captions")
    command.add_argument("--captions", type=int, default=500, help="of each split, one image each")
    command.add_argument("--open-captions", type=int, default=20, help="whose left-out attributes are counted")
    command.add_argument("--seeds", type=int, default=100, help="images of each of these")
    command.add_argument("--compared", type=int, default=32, help="of these, for perceptual distances")
    command.add_argument("--grid", help="PNG file for pictures")
    command.add_argument("--rows", type=int, default=6, help="captions in it")
    options = parser.parse_args()
    file = options.output if options.command == "reader" else options.grid
    if file:
        check_writable(f"avatars.py {options.command}", file)
    {"reader": train_reader, "measure": measure}[options.command](options)


if __name__ == "__main__":
    main()
