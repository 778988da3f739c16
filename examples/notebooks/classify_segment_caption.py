# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-kgen/keras-kgen/blob/main/examples/notebooks/classify_segment_caption.ipynb)
#
# # Three questions about an image
#
# *What is it? Which pixels belong to it? How would you describe it?* A classifier answers the first question, a
# segmenter the second, a captioner the third. They are less different than they look: each is a network that looks at
# the image, the backbone, with a small head for the answer. Here you train all three, and one learns from another.

# %%
import importlib.util

if not importlib.util.find_spec("kgen"):
    # With an NVIDIA GPU take "keras-kgen[demo,gpu]": TensorFlow with all that it needs of CUDA.
    # %pip install -q "keras-kgen[demo]"
    importlib.invalidate_caches()

# %%
import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kgen
from kgen.visualization import plot_history, show_images

devices = keras.distribution.list_devices()
gpu = any(not device.startswith("cpu") for device in devices)
print(f"Keras {keras.__version__} computes on {', '.join(devices)}.")

# %% [markdown]
# ## What is it?
#
# Suppose you must sort drawings into animals, food, and faces, and you have the patience to label twenty of each. That
# is too few to learn to see. So we take a network that has learned to see from a million photos, EfficientNet-Lite0,
# and leave it unchanged: `frozen=True`. Only one layer on top of it learns.

# %%
kinds = {"animals-nature": "animal or plant", "food-drink": "food", "smileys-emotion": "face or sign"}
emoji = kgen.data.openmoji(64, groups=list(kinds))
answers = np.array([list(kinds).index(each["group"]) for each in emoji.attributes])

order = np.random.default_rng(0).permutation(len(emoji))
labelled = np.concatenate([[i for i in order if answers[i] == kind][:20] for kind in range(3)])
rest = np.setdiff1d(order, labelled)[::2]
print(f"{len(labelled)} drawings have labels, {len(rest)} are to be sorted.")

# %%
keras.utils.set_random_seed(0)
classifier = kgen.models.ImageClassifier(
    "efficientnet_lite0",
    class_names=list(kinds.values()),
    image_shape=(64, 64, 3),
    frozen=True,
    ema_momentum=0.9,
    seed=0,
)
classifier.compile(keras.optimizers.Adam(3e-3))
history = classifier.fit(emoji.images[labelled], answers[labelled], epochs=8, batch_size=20, verbose=2)
plot_history(history)

# %%
probabilities = classifier.classify(emoji.images[rest], verbose=0)
seen = probabilities.argmax(axis=1)
accuracy = float(np.mean(seen == answers[rest]))
print(f"{accuracy:.0%} of the drawings that had no label are sorted right; by chance {1 / 3:.0%}.")

shown = np.random.default_rng(2).permutation(len(rest))[:18]
marks = [f"{classifier.class_names[seen[i]]}{'' if seen[i] == answers[rest[i]] else ' (wrong)'}" for i in shown]
show_images(emoji.images[rest[shown]], marks, columns=6)

# %% [markdown]
# ## Which pixels?
#
# A segmenter names the class of each pixel. It learns from masks, images of the answers. We take drawings of shapes,
# which kgen makes together with their masks, and a backbone that starts from scratch. Below each drawing is its mask:
# circles red, squares blue, triangles green, stars yellow, crosses purple, rings turquoise.

# %%
data, masks = kgen.data.captioned_shapes(8000 if gpu else 2000, image_size=32, masks=True)
test, test_masks = kgen.data.captioned_shapes(300, image_size=32, split="seen", masks=True)

colours = np.array(
    [[235, 235, 235], [230, 60, 60], [60, 110, 230], [40, 170, 90], [240, 180, 40], [150, 70, 190], [60, 190, 200]],
    "uint8",
)
show_images(np.concatenate([data.images[:10], colours[masks[:10]]]), columns=10)

# %%
keras.utils.set_random_seed(0)
backbone = kgen.networks.residual_encoder(data.image_shape, filters=32)
segmenter = kgen.models.ImageSegmenter(backbone, class_names=kgen.data.MASK_NAMES, ema_momentum=0.99, seed=0)
segmenter.compile(keras.optimizers.Adam(3e-3))
history = segmenter.fit(
    data.images, masks, validation_data=(test.images, test_masks), epochs=20 if gpu else 7, batch_size=32, verbose=2
)
plot_history(history)

# %% [markdown]
# `mean_iou` is the overlap of what it marks with what is there, averaged over the classes: 1 is perfect. From top to
# bottom: test images, what the segmenter says, and the truth.

# %%
marked = segmenter.segment(test.images[:10], verbose=0)
right_pixels = float(np.mean(segmenter.segment(test.images, verbose=0) == test_masks))
overlap = float(history.history["val_mean_iou"][-1])
print(f"{right_pixels:.1%} of all pixels are right, the mean overlap is {overlap:.2f}.")
show_images(np.concatenate([test.images[:10], colours[marked], colours[test_masks[:10]]]), columns=10)

# %% [markdown]
# ## How would you describe it?
#
# A `DualEncoder` turns images and captions into vectors, so that an image and a caption that fit point in the same
# direction. The captioner then chooses the nearest caption from a bank.
#
# Each drawing has one to three captions. The text encoder that comes with kgen reads 16 tokens, so we take the shortest
# caption, and leave out drawings that need more than nine words. A few are still cut off, and a warning says so.


# %%
def with_short_captions(drawings):
    shortest = [min(captions, key=len) for captions in drawings.captions]
    short = [i for i, caption in enumerate(shortest) if len(caption.split()) <= 9]
    return kgen.data.CaptionedImages(drawings.images[short], [[shortest[i]] for i in short])


told, told_test = with_short_captions(data), with_short_captions(test)
show_images(told.images[:8], [captions[0] for captions in told.captions[:8]], columns=4)

# %% [markdown]
# To tell "a red star" from "a red cross" the model must see shapes. The segmenter already can. So we give its backbone
# to the new model, which starts from the means of its feature maps.

# %%
maps = segmenter.backbone.output["maps"]
pooled = [keras.layers.GlobalAveragePooling2D()(each) for each in maps]
tower = keras.Model(segmenter.backbone.input, keras.layers.Concatenate()(pooled))

dual = kgen.models.DualEncoder("tiny_minilm_en_zh", image_shape=data.image_shape, image_network=tower, seed=0)
dual.compile(keras.optimizers.Adam(2e-3, global_clipnorm=1.0))
history = dual.fit(told, validation_data=told_test, epochs=30 if gpu else 11, batch_size=100, verbose=2)
plot_history(history)

# %%
bank = [captions[0] for captions in told_test.captions[:100]]
captioner = kgen.models.ImageCaptioner(dual, bank=bank)
said = captioner.caption(told_test.images[:100], verbose=0)
captions_right = float(np.mean([one == other for one, other in zip(said, bank)]))
print(f"{captions_right:.0%} of 100 images get their own caption out of 100; by chance about 1%.")
show_images(told_test.images[:12], said[:12], columns=4)

# %% [markdown]
# Captions like these name a number, a size, a colour, a shape and a place. Most are right to the last word. A wrong one
# is often close: the right shapes in other colours, or one of two things.
#
# The same vectors also work the other way round: search your drawings by words.

# %%
questions = ["two big pink triangles", "a tiny green triangle"]
found, _ = dual.retrieve(questions, told.images, top=6, verbose=0)
show_images(told.images[found.reshape(-1)], [words for words in questions for _ in range(6)], columns=6)

# %% [markdown]
# The first ones are right. After them come near ones: three instead of two, or another colour.
#
# ## What to try next
#
# - Your own labels: `fit(images, names)` takes strings. When the head has learned, set `classifier.frozen = False`,
#   compile with a small learning rate, and continue.
# - Both questions at once: `MultiTaskModel` has several heads on one backbone, and labels may be missing.
# - Your own photos: `ImageSegmenter("efficientnet_lite0", ...)`, `DualEncoder(...,
#   image_network="efficientnet_lite0")`.
# - Captions for a folder: `kgen.data.caption_folder(captioner, "my_images")`. With a KerasHub model that reads images,
#   such as PaliGemma, `ImageCaptioner` needs no bank. Then train on the folder, as in
#   [words_to_images.ipynb](https://github.com/keras-kgen/keras-kgen/blob/main/examples/notebooks/words_to_images.ipynb).
# - The script [classify.py](https://github.com/keras-kgen/keras-kgen/blob/main/examples/classify.py) learns all of
#   Fashion-MNIST and exports a SavedModel.
#
# All emojis designed by [OpenMoji](https://openmoji.org), the open-source emoji and icon project. License: CC BY-SA
# 4.0.
