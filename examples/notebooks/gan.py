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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-kgen/keras-kgen/blob/main/examples/notebooks/gan.ipynb)
#
# # Two networks play, and one learns to draw
#
# A generative adversarial network is a game. The *generator* draws images from random numbers. The *discriminator* sees
# real images and drawn ones and must tell which is which. Each improves because the other does. In the end you keep the
# generator: it draws in one pass, and its images are sharp, because a blurred one would be found out at once.
#
# Here two small networks play it with shoes, trousers and bags, in about two minutes of processor time.

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

import warnings

import keras
import numpy as np

import kgen
from kgen.visualization import plot_history, show_images

devices = keras.distribution.list_devices()
gpu = any(not device.startswith("cpu") for device in devices)
print(f"Keras {keras.__version__} computes on {', '.join(devices)}.")

# %% [markdown]
# ## What is to be drawn
#
# Four of the ten classes of Fashion-MNIST. Fewer classes are learned sooner; take more of them on a GPU. The images
# come from a system package or from Keras. If neither has them, the error says what to do.

# %%
kinds = ["Trouser", "Sneaker", "Bag", "Ankle boot"]
images, labels = kgen.data.fashion_mnist("train")
wanted = [kgen.data.FASHION_MNIST_NAMES.index(kind) for kind in kinds]
keep = np.isin(labels, wanted)
images, labels = images[keep], np.searchsorted(wanted, labels[keep])
one_row_each = np.concatenate([np.flatnonzero(labels == label)[:10] for label in range(len(kinds))])
show_images(images[one_row_each], columns=10)

# %% [markdown]
# ## The players
#
# Both networks are told the class, as `pooled`, a one-hot vector. So the generator draws what you ask for, and the
# discriminator also judges whether the image fits its class. `GAN.from_image_shape` makes networks by itself; here we
# choose narrow ones. Any Keras model with these inputs and outputs will do.

# %%
keras.utils.set_random_seed(0)
generator = kgen.networks.dcgan_generator((28, 28, 1), latent_dim=64, pooled_dim=len(kinds), filters=(96, 48, 32))
discriminator = kgen.networks.dcgan_discriminator((28, 28, 1), pooled_dim=len(kinds), filters=(96, 48))
gan = kgen.models.GAN(
    generator, discriminator, latent_dim=64, num_classes=len(kinds), ema_momentum=0.999 if gpu else 0.99, seed=0
)
gan.compile(loss="non_saturating", penalties=[kgen.losses.R1(1.0, every=8)])
print(f"{generator.count_params():,} weights draw, {discriminator.count_params():,} judge.")

# %% [markdown]
# `R1` is a penalty on a discriminator that is too sure of itself. It keeps the game in balance and costs little, as it
# is computed only in every eighth step.
#
# ## The game
#
# After each epoch we keep what the generator makes from the same random numbers. `AdversarialWatch` stops the game, and
# says why, if one player gives up or if all drawings become alike.

# %%
epochs, images_of_an_epoch = (20, len(images)) if gpu else (5, 5120)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that the model is untrained, which is what we want to show
    progress = [gan.generate(2, labels=range(len(kinds)), seed=0)]
keep_drawings = keras.callbacks.LambdaCallback(
    on_epoch_end=lambda epoch, logs: progress.append(gan.generate(2, labels=range(len(kinds)), seed=0))
)
watch = kgen.callbacks.AdversarialWatch()
history = gan.fit(
    images[:images_of_an_epoch],
    labels[:images_of_an_epoch],
    epochs=epochs,
    batch_size=32,
    callbacks=[keep_drawings, watch],
    verbose=2,
)

# %% [markdown]
# From noise to clothes: the first row is before the game, each further one after an epoch.

# %%
rows = [progress[i] for i in np.unique(np.linspace(0, len(progress) - 1, 6).astype(int))]
show_images(np.concatenate(rows), columns=8)

# %%
plot_history(history)

# %% [markdown]
# These curves do not fall like others, because each player's loss depends on the other. What to look for:
#
# - `discriminator_accuracy` is how often a real image is judged more real than a drawn one. At 1 the discriminator
#   always wins, and the generator learns nothing more; at 0.5 it cannot tell them apart. In between there is something
#   to learn.
# - `diversity` is how different the drawings are. If it fell towards 0, the generator would always draw the same thing.
#
# No loss tells how good the drawings are. For that you look, and measure.
#
# ## What it draws
#
# A row of trousers, of sneakers, of bags, of boots. The same seed gives the same images on every machine.

# %%
show_images(gan.generate(10, labels=range(len(kinds)), seed=1), columns=10)

# %% [markdown]
# The outlines are right and sharp, but textures are coarse, and a few things are misshapen: this was a short game.
#
# Between two drawings of a class there are others, all of that class:

# %%
between = [gan.interpolate(3, 4, steps=10, label=label) for label in range(len(kinds))]
show_images(np.concatenate(between), columns=10)

# %% [markdown]
# ## Does it copy?
#
# The first column is drawn. Beside it are the five real images nearest to it, in pixels. They are alike but not the
# same: nothing was memorised.

# %%
drawn = gan.generate(1, labels=range(len(kinds)), seed=5)
flat = images[:images_of_an_epoch].reshape(-1, 28 * 28).astype("float32")
rows = []
for image in drawn:
    distances = np.square(flat - image.reshape(-1)).sum(axis=1)
    rows += [image[None], images[distances.argsort()[:5]]]
show_images(np.concatenate(rows), columns=6)

# %% [markdown]
# ## How good is it?
#
# *Precision* is the share of drawings that are as near to real images as real images are to each other. *Recall* is the
# share of real images that are equally near to drawings: it falls when kinds of things are left out. Here they are
# measured in pixels, on images not used in training. For colour images use `"efficientnet_lite0"` instead of
# `"pixels"`.

# %%
test_images, test_labels = kgen.data.fashion_mnist("test")
of_these_kinds = np.isin(test_labels, wanted)
test_images = test_images[of_these_kinds][:1000]
test_labels = np.searchsorted(wanted, test_labels[of_these_kinds][:1000])
measure = kgen.metrics.PrecisionRecall("pixels")
measure.update_state(test_images, gan.generate(labels=test_labels, seed=2, verbose=0))
result = measure.result()
precision, recall = float(result["precision_pixels"]), float(result["recall_pixels"])
print(f"precision {precision:.0%}, recall {recall:.0%}")

# %% [markdown]
# ## What to try next
#
# - A longer game: more epochs, all the images, all ten classes. `gan.fit` continues from where it is.
# - Other rules: `loss="hinge"`, `loss="wasserstein"` with `penalties=["gradient_penalty"]`, or `"relativistic"`.
# - Few images of your own: `gan.compile(augmentation="adaptive_augment")` keeps the discriminator from memorising them,
#   and `np.concatenate(list(kgen.data.ImageFolder("my_images", 64).batches(256)))` reads them.
# - Back from an image to its random numbers: `gan.encode(images, labels)`.
# - The script [gan_fashion_mnist.py](https://github.com/keras-kgen/keras-kgen/blob/main/examples/gan_fashion_mnist.py)
#   uses all classes, resumes after a crash, and exports a SavedModel.
# - To measure how likely an image is, or to denoise it, see
#   [vae.ipynb](https://github.com/keras-kgen/keras-kgen/blob/main/examples/notebooks/vae.ipynb).
