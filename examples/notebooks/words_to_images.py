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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-kgen/keras-kgen/blob/main/examples/notebooks/words_to_images.ipynb)
#
# # From words to images, on your own folder
#
# You have a folder of similar images, such as icons, stickers, or products, each with a few words. This notebook trains
# a model on it that draws such images from words, in one pass: milliseconds on a processor. If you have no folder, it
# makes one.

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

import time
from pathlib import Path

import keras
import numpy as np

import kgen
from kgen.visualization import plot_history, save_images, show_images

devices = keras.distribution.list_devices()
gpu = any(not device.startswith("cpu") for device in devices)
print(f"Keras {keras.__version__} computes on {', '.join(devices)}.")

# %% [markdown]
# ## First, what a trained model does
#
# The package includes trained models. This one knows 1,600 emoji, in English and Chinese.

# %%
trained = kgen.models.TextToImage.from_preset("openmoji_128")
prompts = ["a red apple", "a smiling face", "一只黑色的猫", "a rocket", "a slice of pizza", "a guitar"]
trained.generate(prompts, seed=0)  # the first call also compiles

start = time.perf_counter()
drawn = trained.generate(prompts, seed=0)
print(f"{1000 * (time.perf_counter() - start) / len(prompts):.0f} ms an image")
# The font of captions has no Chinese characters.
show_images(drawn, ["a black cat, in Chinese" if prompt == "一只黑色的猫" else prompt for prompt in prompts], columns=3)

# %% [markdown]
# ## Your folder
#
# Put your images into `my_images`, beside this notebook, or change the name below. Say what they show in one of three
# ways:
#
# - a file `captions.csv` with the columns `file_name` and `text`; several lines for one image are fine;
# - a text file beside each image: `cat.txt` for `cat.png`, one caption per line;
# - folders with names: every image in `black_cat/` is "black cat".
#
# A few hundred images are enough to begin with. If there is no such folder, we fill one with the food and the animals
# of OpenMoji.

# %%
folder = Path("my_images")
if not folder.exists():
    emoji = kgen.data.openmoji(96, groups=["food-drink", "animals-nature"])
    save_images(folder, emoji.images, [captions[0] for captions in emoji.captions])

data = kgen.data.captioned_folder(folder, image_size=64)
print(f"{len(data)} images of {data.image_shape}")
some = np.linspace(0, len(data) - 1, 18).astype(int)
show_images(data.images[some], [data.captions[i][0] for i in some], columns=6)

# %% [markdown]
# A warning names what cannot be read or has no caption: nothing is dropped silently.
#
# ## Training
#
# `tiny_minilm_en_zh` reads the words. It is part of the package and stays frozen, so each caption is read only once.
# The network that draws learns from scratch.

# %%
keras.utils.set_random_seed(0)
model = kgen.models.TextToImage("tiny_minilm_en_zh", image_shape=data.image_shape, sequence_length=16, seed=0)

steps = 4000 if gpu else 420
batch_size = 32
# A small folder is repeated within an epoch, so that there are about ten epochs to look at.
data_of_an_epoch = data[np.tile(np.arange(len(data)), max(1, round(steps * batch_size / 10 / len(data))))]
steps_of_an_epoch = -(-len(data_of_an_epoch) // batch_size)
epochs = max(1, round(steps / steps_of_an_epoch))

rate = keras.optimizers.schedules.CosineDecay(
    0.0, epochs * steps_of_an_epoch, warmup_target=2e-3, warmup_steps=min(40, steps // 10)
)
model.compile(keras.optimizers.Adam(rate, beta_2=0.99, global_clipnorm=1.0))

watched = [data.captions[i][0] for i in np.linspace(0, len(data) - 1, 8).astype(int)]
progress = []
draw = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: progress.append(model.generate(watched, seed=0)))
history = model.fit(data_of_an_epoch, epochs=epochs, batch_size=batch_size, callbacks=[draw], verbose=2)

# %% [markdown]
# How eight captions looked while the model learned, from top to bottom:

# %%
rows = [progress[i] for i in np.unique(np.linspace(0, len(progress) - 1, 4).astype(int))]
print(", ".join(watched))
show_images(np.concatenate(rows), columns=len(watched))

# %%
plot_history(history)

# %% [markdown]
# `pixel_error` is the curve to watch: how far the drawings are from the images, in grey levels of 255. The loss
# contains a large constant. Few `active_units` are normal here: captions already say what to draw.
#
# ## Your model draws

# %%
shown = np.random.default_rng(1).permutation(len(data))[:12]
captions = [data.captions[i][0] for i in shown]
generated = model.generate(captions, seed=0)
show_images(generated, captions, columns=6)

# %% [markdown]
# You can tell the things apart, but lines are still speckled. This is what they should look like:

# %%
show_images(data.images[shown], captions, columns=6)

# %% [markdown]
# A number says more than a dozen images. For each caption we draw an image and ask which image of the folder is nearest
# to it, by the mean colours of 16 x 16 blocks. How often is it the right one?

# %%
asked = np.random.default_rng(0).permutation(len(data))[:100]
colours = kgen.metrics.FeatureExtractor(keras.layers.Flatten(), name="colours", image_size=16)
recall = kgen.metrics.RetrievalRecall(colours, among=min(100, len(asked)), similarity="euclidean")
recall.update_state(data.images[asked], model.generate([data.captions[i][0] for i in asked], seed=1))
right = float(recall.result()["recall_at_1_colours"])
print(
    f"The right image is the nearest of {len(asked)} for {right:.0%} of the captions; by chance {1 / len(asked):.0%}."
)

# %% [markdown]
# ## Words that nobody used
#
# People will not write what your captions say. After `remember` the model draws unknown words as the nearest that it
# knows, instead of a blur of several things.

# %%
model.remember([list(texts) for texts in data.captions])
ours = "red apple" in {texts[0] for texts in data.captions}
others = (
    ["a bunny", "a doggy", "a huge whale", "a piece of cheese", "some grapes", "a kitten"] if ours else captions[:6]
)
show_images(model.generate(others, seed=0), others, columns=6)

# %% [markdown]
# It is a guess, and the text encoder is tiny: "a kitten" came out as a squirrel when this was written. With `pip
# install "keras-kgen[minilm]"` you get a larger one for English, `TextToImage("all_minilm_l6_v2_en", ...)`.
#
# You can walk between two prompts. The text changes step by step, and the image with it:

# %%
ends = ["red apple", "lemon"] if ours else captions[:2]
show_images(model.walk(ends, steps=7, seed=[0, 0]), columns=8)

# %% [markdown]
# ## Keep it
#
# `save` keeps everything, so training can continue. A preset is what you share: without the optimizer, and with a
# checksum. It draws the same.

# %%
model.save("my_model.keras")
model.save_to_preset("my_preset", dtype="float16")
again = kgen.models.TextToImage.from_preset("my_preset")
difference = np.abs(again.generate(captions, seed=0).astype(int) - model.generate(captions, seed=0)).max()
size = sum(file.stat().st_size for file in Path("my_preset").rglob("*") if file.is_file())
print(f"The preset has {size / 1e6:.0f} MB and draws the same, up to {difference} grey levels of 255.")

# %% [markdown]
# ## What to try next
#
# - More steps. 420 steps are a sketch; `kgen train my_images` takes some 1,600, writes samples as it goes, and resumes.
# - Larger images: from 96 pixels a side the model uses the latents of an autoencoder by itself,
#   `captioned_folder(folder, image_size=128)`.
# - Captions that leave things out, such as "a person with glasses": `TextToImage(..., codes=(24, 8))` draws the rest
#   differently for each seed. `from_preset("avatars_128")` does this.
# - No captions at all? `kgen.data.caption_folder` lets a model write them; see
#   [classify_segment_caption.ipynb](https://github.com/keras-kgen/keras-kgen/blob/main/examples/notebooks/classify_segment_caption.ipynb).
#
# All emojis designed by [OpenMoji](https://openmoji.org), the open-source emoji and icon project. License: CC BY-SA
# 4.0.
