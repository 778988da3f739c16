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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-kgen/keras-kgen/blob/main/examples/notebooks/vae.ipynb)
#
# # What a VAE is good for
#
# A variational autoencoder squeezes an image into a few numbers, its latents, and draws it again from them. It learns
# from images alone, without labels. Because it also learns how latents are spread, one small model does many jobs: it
# draws new images, sorts those you have, cleans noisy ones, and finds the one that does not belong.
#
# Here it learns clothes, in half a minute of processor time.

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
from keras import layers

import kgen
from kgen.visualization import latent_traversal, plot_history, plot_latents, show_images

devices = keras.distribution.list_devices()
gpu = any(not device.startswith("cpu") for device in devices)
print(f"Keras {keras.__version__} computes on {', '.join(devices)}.")

# %% [markdown]
# ## Clothes
#
# Fashion-MNIST has 70,000 small grey images of ten kinds of clothes. If they are not on this machine, Keras downloads
# them; if that fails, the error says what to install. We keep the test images for later: the model never learns from
# them.

# %%
images, _ = kgen.data.fashion_mnist("train")
held_out, labels = kgen.data.fashion_mnist("test")
names = [kgen.data.FASHION_MNIST_NAMES[label] for label in labels]
show_images(held_out[:40], columns=10)

# %% [markdown]
# ## Two networks
#
# For each image the encoder says where its 24 latents are and how sure it is: 48 numbers. The decoder draws an image
# from 24 numbers. Dense layers learn fastest on a processor. `"optimal_gaussian"` balances the two things that a VAE
# minimises: how far the drawing is from the image, and how much the latents say.

# %%
keras.utils.set_random_seed(0)
encoder = keras.Sequential(
    [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(512, activation="gelu"), layers.Dense(48)]
)
decoder = keras.Sequential(
    [keras.Input((24,)), layers.Dense(512, activation="gelu"), layers.Dense(784), layers.Reshape((28, 28, 1))]
)
vae = kgen.models.VAE(encoder, decoder, latent_dim=24, reconstruction="optimal_gaussian", seed=0)
vae.compile(steps_per_execution=16)
epochs = 40 if gpu else 6
history = vae.fit(images, validation_data=held_out[:2000], epochs=epochs, batch_size=128, verbose=2)
plot_history(history)

# %% [markdown]
# `kl` is what the latents say about an image, in nats. It rises while the drawings come nearer. `pixel_error` is how
# far they are off, in grey levels of 255. `active_units` counts the latents in use: if it fell to 0, the encoder would
# be useless.
#
# Images that the model has not seen, and its reconstructions below:

# %%
shown = held_out[:10]
show_images(np.concatenate([shown, vae.reconstruct(shown)]), columns=10)

# %% [markdown]
# Shapes and shades are right. Prints and seams are smoothed away: 24 numbers cannot hold them.
#
# ## It sorts what you have
#
# Similar images have similar latents. Nobody told the model what a boot is, but boots lie together, and trousers lie
# far from bags. The figure shows two directions of 24.

# %%
latents = vae.encode(held_out)
plot_latents(latents[:700], names[:700], held_out[:700])

# %% [markdown]
# So you can search for images like a given one: those with the nearest latents. The first in each row is the query.

# %%
asked = [0, 11, 18, 23]
distances = np.linalg.norm(latents[asked][:, None] - latents[None], axis=-1)
nearest = distances.argsort(axis=1)[:, :10]
right = float(np.mean(labels[nearest[:, 1:]] == labels[asked][:, None]))
print(f"{right:.0%} of the neighbours are of the same kind as the query.")
show_images(held_out[nearest.reshape(-1)], columns=10)

# %% [markdown]
# ## It draws
#
# Any 24 numbers can be drawn. First we take numbers from the normal distribution that the VAE was trained with, then
# numbers from where the latents of the clothes really are. `fit_prior` learns that, and `generate` uses it from then
# on.

# %%
plain = vae.generate(20, seed=0)
gained = vae.fit_prior(images[:10_000], verbose=0)
print(f"The learned prior is nearer to the latents by {gained:.1f} nats an image.")
show_images(plain, columns=10)

# %%
generated = vae.generate(20, seed=0)
show_images(generated, columns=10)

# %% [markdown]
# The first twenty are blends of several clothes; most of these show one thing. All are soft, as a VAE's images are.
#
# What does a single number mean? Each row changes one of the most variable latents of the first boot, and leaves the
# others alone.

# %%
in_use = np.argsort(-latents.var(axis=0))
latent_traversal(vae, in_use[:5], latents=latents[0], scale=2)

# %% [markdown]
# And between two images there are others: from a sandal to a boot, from trousers to a dress, from a shirt to a bag.


# %%
def between(first, last, steps=10):
    shares = np.linspace(0, 1, steps)[:, None]
    return vae.decode((1 - shares) * latents[first] + shares * latents[last])


pairs = [("Sandal", "Ankle boot"), ("Trouser", "Dress"), ("Shirt", "Bag")]
show_images(np.concatenate([between(names.index(a), names.index(b)) for a, b in pairs]), columns=10)

# %% [markdown]
# ## It cleans
#
# A VAE leaves out what it cannot draw, such as noise. `denoise` finds the latents that explain a noisy image best. It
# was never trained on noise. The noisy images are above, the results below.

# %%
clean = held_out[100:110]
noisy = np.clip(clean + np.random.default_rng(0).normal(scale=0.4 * 255, size=clean.shape), 0, 255)
noisy = noisy.round().astype("uint8")
denoised = vae.denoise(noisy, noise_std=0.4, verbose=0)


def decibels(other):
    pair = clean.astype("float32"), other.astype("float32")
    return float(np.mean(kgen.metrics.peak_signal_to_noise_ratio(*pair)))


decibels_gained = decibels(denoised) - decibels(noisy)
print(f"PSNR rises from {decibels(noisy):.1f} to {decibels(denoised):.1f} dB.")
show_images(np.concatenate([noisy, denoised]), columns=10)

# %% [markdown]
# ## It finds what does not belong
#
# The model says how likely an image is, so you can look at the least likely ones. Suppose that 20 of 400 photos in a
# catalogue were loaded upside down. (Bags and trousers look nearly the same that way, so we leave them out.)

# %%
catalogue = held_out[~np.isin(labels, [1, 8])][:400].copy()
wrong = np.random.default_rng(0).permutation(len(catalogue))[:20]
catalogue[wrong] = catalogue[wrong, ::-1]

scores = vae.anomaly_score(catalogue, samples=8)
suspects = scores.argsort()[::-1][:20]
is_wrong = np.isin(np.arange(len(catalogue)), wrong)
found = int(is_wrong[suspects].sum())
# How often a wrong image has a higher score than a right one.
auc = float(np.mean(scores[is_wrong][:, None] > scores[~is_wrong][None]))
print(f"{found} of the 20 most unusual images are upside down; chance would be 1. AUC {auc:.2f}.")
show_images(catalogue[suspects], ["upside down" if is_wrong[i] else "" for i in suspects], columns=5)

# %% [markdown]
# The others are unusual in their own way: odd cuts, loud prints. Scores compare images of one kind. An empty image
# would be "likely" too, as it is easy to draw.
#
# ## What to try next
#
# - Your own images: `np.concatenate(list(kgen.data.ImageFolder("my_images", 64).batches(256)))`, and
#   `VAE.from_image_shape` for a convolutional model of their size.
# - Sharper ones: `adversarial=True` adds a discriminator. `levels=3` gives latents on several scales.
# - Labels: with `num_classes=10` it draws what you ask for, and classifies by Bayes' rule.
# - The script [vae_fashion_mnist.py](https://github.com/keras-kgen/keras-kgen/blob/main/examples/vae_fashion_mnist.py)
#   trains longer, resumes after a crash, and exports a SavedModel.
# - The next notebook, [gan.ipynb](https://github.com/keras-kgen/keras-kgen/blob/main/examples/notebooks/gan.ipynb),
#   trades the likelihood for sharp images.
