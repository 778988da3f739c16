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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-kgen/keras-kgen/blob/main/examples/notebooks/many_devices.ipynb)
#
# # One model on many devices, with TensorFlow
#
# With two GPUs a step can look at twice as many images in the same time. Each device holds a copy of the model and gets
# a share of every batch. Then the devices add up their gradients and all make the same step. The model does not change:
# you only make it in the scope of a `tf.distribute` strategy.
#
# This notebook shows that, and checks that two devices learn what one learns. It uses your GPUs if there are several.
# If not, it splits the processor into two virtual devices. That makes nothing faster, but shows all that matters. The
# same on JAX is in
# [many_devices_jax.ipynb](https://github.com/keras-kgen/keras-kgen/blob/main/examples/notebooks/many_devices_jax.ipynb).

# %%
import importlib.util

if not importlib.util.find_spec("kgen"):
    # With an NVIDIA GPU take "keras-kgen[demo,gpu]": TensorFlow with all that it needs of CUDA.
    # %pip install -q "keras-kgen[demo]"
    importlib.invalidate_caches()

# %% [markdown]
# The devices must be chosen before TensorFlow is used for the first time.

# %%
import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

gpus = tf.config.list_physical_devices("GPU")
if len(gpus) < 2:
    tf.config.set_visible_devices([], "GPU")  # a single GPU is not used, so that the devices are alike
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
kind = "GPU" if len(gpus) > 1 else "CPU"
devices = [device.name for device in tf.config.list_logical_devices(kind)]
print("Devices:", ", ".join(devices))

# %%
import keras
import numpy as np

import kgen
from kgen.visualization import plot_history, show_images

# %% [markdown]
# ## The task
#
# A network that enlarges drawings: it sees 32 x 32 pixels and must output 64 x 64. kgen shrinks the images itself, so
# emoji are all it needs. We keep ten of them for later.

# %%
emoji = kgen.data.openmoji(64, groups=["animals-nature", "food-drink", "activities", "objects"]).images
images, held_out = emoji[10:522], emoji[:10]
print(f"{len(images)} images to learn from")
show_images(held_out, columns=10)


# %% [markdown]
# ## One device
#
# A function makes the model, so that we can make it twice from the same random numbers.


# %%
def make_model():
    keras.utils.set_random_seed(0)
    network = kgen.networks.restoration_network(scale=2, filters=24, blocks=2)
    model = kgen.models.ImageRestorer(
        [kgen.layers.Downscale(2)], scale=2, network=network, ema_momentum=0.9 if kind == "CPU" else 0.999, seed=0
    )
    model.compile(keras.optimizers.Adam(2e-3))
    return model


epochs = 20 if kind == "GPU" else 5
alone = make_model()
one = alone.fit(images, epochs=epochs, batch_size=32, verbose=2).history

# %% [markdown]
# ## Two devices
#
# Only the scope is new. `batch_size` is that of the whole batch: each of two devices gets 16 of the 32 images. If you
# want 32 on each, ask for 64, and consider a larger learning rate.

# %%
strategy = tf.distribute.MirroredStrategy(devices)
print(f"{strategy.num_replicas_in_sync} replicas")
with strategy.scope():
    together = make_model()
two = together.fit(images, epochs=epochs, batch_size=32, verbose=2).history
print(type(together.network.weights[0].value).__name__, "has a copy on each device.")

# %% [markdown]
# ## Do they learn the same?
#
# The gradients are added up as if one device had seen the whole batch, even if the last batch is short. So the two
# curves coincide. (A model that draws random numbers in training, such as a VAE, draws different ones on each device.
# Its curves then differ like those of two seeds.)

# %%
plot_history({"one_device_loss": one["loss"], "two_devices_loss": two["loss"]})

# %%
apart = float(np.max(np.abs(np.array(one["loss"]) / np.array(two["loss"]) - 1)))
print(f"The losses differ by {apart:.4%} at most.")

# %% [markdown]
# Images not used in training: at 32 pixels, enlarged by the first model, by the second one, and the originals.

# %%
small = held_out.reshape(-1, 32, 2, 32, 2, 3).mean(axis=(2, 4)).round().astype("uint8")
rows = [small.repeat(2, axis=1).repeat(2, axis=2), alone.restore(small), together.restore(small), held_out]
levels_apart = int(np.abs(rows[1].astype(int) - rows[2]).max())
print(f"The two models differ by {levels_apart} grey levels of 255 at most.")
show_images(np.concatenate(rows), columns=10)

# %% [markdown]
# ## What you can do with the result
#
# The result is an ordinary model. Save it here and load it anywhere, on one device or eight, with the state of its
# optimizer.

# %%
together.save("together.keras")
loaded = keras.saving.load_model("together.keras")
same = bool(np.array_equal(loaded.restore(small), together.restore(small)))
print("The loaded model gives the same:", same)

# %% [markdown]
# ## What to try next
#
# - Real devices, and a batch that keeps them busy: twice the devices, twice `batch_size`.
# - A GAN or a `TextToImage` in the scope. Captions are encoded before they are shared out; nothing else changes.
# - Measures, `compile(metrics=[...])`, count every image once, however many devices share them.
# - Several machines: `tf.distribute.MultiWorkerMirroredStrategy`, as in
#   [scaling](https://github.com/keras-kgen/keras-kgen/blob/main/docs/scaling.md).
