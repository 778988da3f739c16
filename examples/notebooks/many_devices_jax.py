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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-kgen/keras-kgen/blob/main/examples/notebooks/many_devices_jax.ipynb)
#
# # One model on many devices, with JAX
#
# On JAX you write a step for one device, and the compiler splits it. `keras.distribution` says how: with `DataParallel`
# the weights are copied to all devices and the images of a batch are shared out. It takes one line, before the model is
# made. kgen's models train with it unchanged.
#
# The notebook uses the GPUs or TPU cores that it finds. On a processor alone it asks JAX for two virtual devices, which
# share its cores: you see how it works, but it is no faster. For TensorFlow, which uses `tf.distribute`, see
# [many_devices.ipynb](https://github.com/keras-kgen/keras-kgen/blob/main/examples/notebooks/many_devices.ipynb).

# %%
import importlib.util

if not all(map(importlib.util.find_spec, ["kgen", "jax"])):
    # %pip install -q "keras-kgen[demo,jax]"
    importlib.invalidate_caches()

# %% [markdown]
# Choose the backend before you import Keras, and the number of virtual devices before JAX computes anything.

# %%
import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# With a single GPU there is nothing to share. This uses two virtual devices instead:
# os.environ["JAX_PLATFORMS"] = "cpu"

import jax

jax.config.update("jax_num_cpu_devices", 2)

import keras
import numpy as np

import kgen
from kgen.visualization import plot_history, show_images

devices = keras.distribution.list_devices()
print(f"Keras {keras.__version__} on {keras.backend.backend()}, devices: {', '.join(devices)}")

# %% [markdown]
# ## What the model will see
#
# People that kgen draws from parts, at 32 pixels a side.

# %%
images = kgen.data.avatars(1024, image_size=32, seed=0).images
show_images(images[:20], columns=10)


# %% [markdown]
# ## On one device
#
# A function makes the model, always from the same random numbers. JAX compiles the step first, which takes a while.


# %%
def make_model():
    keras.utils.set_random_seed(0)
    vae = kgen.models.VAE.from_image_shape((32, 32, 3), latent_dim=32, ema_momentum=0.95, seed=0)
    vae.compile(keras.optimizers.Adam(2e-3))
    return vae


batch_size, epochs = 64, 10 if devices[0].startswith("cpu") else 20
alone = make_model()
one = alone.fit(images, epochs=epochs, batch_size=batch_size, verbose=2).history

# %% [markdown]
# ## On all of them
#
# One line, and the same code. The batch is that of all devices together; if it does not divide evenly, each device
# computes the whole batch.

# %%
keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
together = make_model()
two = together.fit(images, epochs=epochs, batch_size=batch_size, verbose=2).history

# %% [markdown]
# Where are the weights? Each one is on every device, whole. JAX can tell:

# %%
kernel = together.encoder.weights[0].value
print(f"A kernel of shape {kernel.shape} is on {len(kernel.sharding.device_set)} devices.")
print("Whole on each of them:", kernel.sharding.is_fully_replicated)

# %% [markdown]
# ## The same curve
#
# The gradient is that of the whole batch, and the random numbers are those of one device. Sums are added up in another
# order, so the last digits differ, and training slowly amplifies the difference.

# %%
apart = float(np.max(np.abs(np.array(one["loss"]) / np.array(two["loss"]) - 1)))
print(f"The losses differ by {apart:.2%} at most.")
plot_history({"one_device_loss": one["loss"], "all_devices_loss": two["loss"]})

# %% [markdown]
# From top to bottom: images, reconstructions by the first model, and by the second one. After so few steps there are
# heads, hair and glasses, but hardly any colours.

# %%
shown = images[:10]
show_images(np.concatenate([shown, alone.reconstruct(shown), together.reconstruct(shown)]), columns=10)

# %% [markdown]
# ## When one device is too small
#
# A large model does not fit on one device. Then its weights are split too: a `LayoutMap` says which, by their names,
# and along which axis. Here each device holds and computes a part of the channels of every 3 x 3 convolution.

# %%
mesh = keras.distribution.DeviceMesh((1, len(devices)), ["batch", "model"], devices)
layout = keras.distribution.LayoutMap(mesh)
layout[".*convolution.*kernel"] = (None, None, None, "model")
keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch"))

cut_up = make_model()
three = cut_up.fit(images, epochs=1, batch_size=batch_size, verbose=2).history
cut = next(each.value for each in cut_up.encoder.weights if "convolution" in each.path and "kernel" in each.path)
part = cut.sharding.shard_shape(cut.shape)
print(f"A kernel of shape {cut.shape}, of which each device has {part}.")
print(f"Loss of the first epoch: {three['loss'][0]:.1f}; on one device it was {one['loss'][0]:.1f}.")

# %% [markdown]
# ## What is saved is whole
#
# Wherever a model was trained, it is saved and loaded as one file.

# %%
together.save("together.keras")
keras.distribution.set_distribution(None)
loaded = keras.saving.load_model("together.keras")
difference = int(np.abs(loaded.reconstruct(shown).astype(int) - together.reconstruct(shown)).max())
print(f"On one device the loaded model reconstructs the same, up to {difference} grey levels of 255.")

# %% [markdown]
# ## What to try next
#
# - Real devices. In Colab choose a TPU (not tried yet): the notebook finds its cores, and you can raise `batch_size`
#   with their number.
# - `TextToImage` and `GAN` in place of the VAE: the lines about devices stay as they are.
# - Several machines: call `keras.distribution.initialize()` first on each of them (not tried with kgen); see Keras'
#   guide to distribution.
#
# The people are a remix of Personas by Draftbit, from DiceBear, under CC BY 4.0.
