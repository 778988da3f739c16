"""Reads every attribute of `kgen.data.avatars` back from a picture; `avatars.py reader` trains it."""

import io
import time

import keras
import numpy as np
from clock import Seconds
from keras import ops
from PIL import Image, ImageFilter

import kgen
from kgen.data.avatar_styles import AVATAR_STYLES
from kgen.heads import ClassificationHead
from kgen.models import MultiTaskModel

SIZE = 128
# Rows and columns in which eyes and mouths are, which are small and alike.
FACES = {"personas": (slice(40, 96), slice(36, 92)), "big_smile": (slice(48, 104), slice(60, 116))}
# Of what the reader learns from, and of what everything is measured on: no image is in both.
READER_SEED, TEST_SEED = 7, 1


def values(style):
    """A dict from each attribute to its values as text; "None" is a part that is not there or not seen."""
    attributes = AVATAR_STYLES[style].attributes
    return {name: [str(value) for value in dict.fromkeys([None, *each.choices])] for name, each in attributes.items()}


def numbers(people, style):
    """A dict from each attribute to the numbers `(N,)` of its values."""
    return {
        name: np.array([names.index(str(person[name])) for person in people], "int32")
        for name, names in values(style).items()
    }


def new_reader(style):
    """One network sees the whole at half its size, another one the face as it is."""
    encoder = kgen.networks.residual_encoder
    images = keras.Input((SIZE, SIZE, 3), name="images")
    half = keras.layers.AveragePooling2D(2, data_format="channels_last")(images)
    rows, columns = ((each.start, SIZE - each.stop) for each in FACES[style])
    face = keras.layers.Cropping2D((rows, columns), data_format="channels_last")(images)
    features = [
        encoder(half.shape[1:], filters=32, patch=4, feature_dim=128, name="whole")(half),
        encoder(face.shape[1:], filters=24, patch=2, feature_dim=128, name="face")(face),
    ]
    backbone = keras.Model(images, keras.layers.Concatenate()(features), name="backbone")
    heads = {name: ClassificationHead(class_names=names) for name, names in values(style).items()}
    return MultiTaskModel(backbone, heads, ema_momentum=0.99, seed=0, name=f"reader_{style}")


def changed(image, random):
    """An image as a generator may draw it: moved, in other light, soft, coarse or noisy."""
    down, right = random.integers(0, 5, size=2)
    image = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="edge")[down : down + SIZE, right : right + SIZE]
    how = random.integers(6)
    picture = Image.fromarray(image)
    if how == 0:
        picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.4, 1.2)))
    elif how == 1:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(random.integers(20, 80)))
        picture = Image.open(file)
    elif how == 2:
        side = int(random.integers(64, 110))
        picture = picture.resize((side, side), Image.Resampling.BOX).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    levels = np.arange(256) * random.normal(1.0, 0.02, (3, 1)) + random.normal(0.0, 3.0, (3, 1))
    image = np.asarray(picture.point(np.clip(levels, 0.0, 255.0).astype("uint8").ravel().tolist()))
    if how == 3:
        noise = random.uniform(2.0, 12.0) * random.standard_normal(image.shape, dtype="float32")
        image = np.clip(image + noise, 0.0, 255.0).astype("uint8")
    return image


class Changed(keras.utils.PyDataset):
    """Batches of changed images, and what they show."""

    def __init__(self, images, targets, batch_size=64):
        super().__init__()
        self.images, self.targets, self.batch_size, self.epoch = images, targets, batch_size, 0

    def __len__(self):
        return len(self.images) // self.batch_size

    def on_epoch_end(self):
        self.epoch += 1

    def __getitem__(self, index):
        order = np.random.default_rng(self.epoch).permutation(len(self.images))
        rows = order[index * self.batch_size :][: self.batch_size]
        random = np.random.default_rng([self.epoch, index])
        images = np.stack([changed(self.images[row], random) for row in rows])
        return images, {name: target[rows] for name, target in self.targets.items()}


def train_reader(options):
    style, begin = options.style, time.process_time()
    # A reader knows all pairs of parts, those too that the measured model has never seen.
    sets = [
        kgen.data.avatars(count, SIZE, READER_SEED, style, split, verbose=0)
        for split, count in (("train", 3 * options.images // 4), ("held_out", options.images // 4))
    ]
    images = np.concatenate([data.images for data in sets])
    targets = {name: np.concatenate([numbers(data.attributes, style)[name] for data in sets]) for name in values(style)}
    if options.autoencoder:
        autoencoder = autoencoder_of(options.autoencoder)
        rows = np.random.default_rng(0).permutation(len(images))[: options.reconstructed]
        images = np.concatenate([images, autoencoder.reconstruct(images[rows], batch_size=16, verbose=0)])
        targets = {name: np.concatenate([target, target[rows]]) for name, target in targets.items()}
    print(f"# data: {time.process_time() - begin:.0f} s of the processor", flush=True)
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(options.dtype)
    model, clock = new_reader(style), Seconds(options.seconds, options.rate)
    model.compile(keras.optimizers.AdamW(options.rate, weight_decay=0.01))
    begin = time.time()
    model.fit(Changed(images, targets), epochs=1000, verbose=0, callbacks=[clock])
    print(f"# {clock.steps} steps of training, {time.time() - begin:.0f} s of the clock", flush=True)
    keras.config.set_dtype_policy("float32")
    reader = new_reader(style)
    reader.network.set_weights(model.network.get_weights())
    reader.average.set_weights(model.average.get_weights())
    reader.save(options.output)
    print_table(accuracies(reader, style, options.test_images), ".1%")


def accuracies(reader, style, count):
    """Rows of a table: how often each attribute is read right in real avatars, and in changed ones."""
    table = [["avatars", *values(style), "all"]]
    for split in ("seen", "held_out"):
        data = kgen.data.avatars(count, SIZE, TEST_SEED, style, split, verbose=0)
        truth, random = numbers(data.attributes, style), np.random.default_rng(0)
        other = np.stack([changed(image, random) for image in data.images])
        for kind, images in ((split, data.images), (f"{split}, changed", other)):
            found = read(reader, images)
            right = np.stack([found[name] == truth[name] for name in truth], axis=-1)
            table.append([kind, *right.mean(axis=0), right.all(axis=-1).mean()])
    return table


def autoencoder_of(names):
    """The `Autoencoder` of a preset, or of an encoder's and a decoder's file of the TAESD family."""
    autoencoder = kgen.models.Autoencoder
    return autoencoder.from_preset(names[0]) if len(names) == 1 else autoencoder.from_checkpoint(*names)


def read(reader, images):
    """A dict from each attribute to the numbers `(N,)` of its values in uint8 images of any size."""
    names = list(reader.heads)

    def read_all(inputs):
        pixels = ops.cast(inputs["images"], "float32")
        if tuple(pixels.shape[1:3]) != (SIZE, SIZE):
            pixels = ops.image.resize(pixels, (SIZE, SIZE), data_format="channels_last")
        answers = reader.average(pixels / 127.5 - 1.0)
        return ops.stack([ops.argmax(answers[name], axis=-1) for name in names], axis=-1)

    # Graphs are kept by name, and this one is of one size of images.
    read_all.__name__ = f"read_{images.shape[1]}"
    found = reader.graphs.in_batches(read_all, {"images": images}, 100, verbose=0)
    return {name: found[:, i] for i, name in enumerate(names)}


def print_table(rows, form):
    """Markdown; numbers in a format, nothing for NaN."""
    for i, row in enumerate(rows):
        cells = [cell if isinstance(cell, str) else "" if np.isnan(cell) else format(cell, form) for cell in row]
        print(f"| {' | '.join(cells)} |")
        if not i:
            print(f"|{'-|' * len(row)}", flush=True)
