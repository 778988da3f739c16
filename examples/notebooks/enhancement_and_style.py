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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/keras-kgen/keras-kgen/blob/main/examples/notebooks/enhancement_and_style.ipynb)
#
# # Repair a photo, then repaint it
#
# A photo can be noisy, too small, or scratched. Another is fine, but you want it in the style of a mosaic. kgen ships
# small trained networks for all of these. They are part of the package: no download. At the end you train your own,
# against damage that no shipped network knows.

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
import skimage.data
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_image

import kgen
from kgen.visualization import plot_history, show_images

devices = keras.distribution.list_devices()
gpu = any(not device.startswith("cpu") for device in devices)
print(f"Keras {keras.__version__} computes on {', '.join(devices)}.")

# %% [markdown]
# ## Three photos
#
# Put your own in their place: any RGB image as a uint8 array, such as `np.asarray(Image.open("mine.jpg"))`. The
# networks take photos of any size. Here we cut out squares of 256 pixels, so that they fit side by side.

# %%
astronaut = skimage.data.astronaut()[:256, 96:352]
cat = skimage.data.chelsea()[20:276, 60:316]
coffee = skimage.data.coffee()[60:316, 150:406]
photos = np.stack([astronaut, cat, coffee])
show_images(photos, ["astronaut", "cat", "coffee"], columns=3)


# %% [markdown]
# We measure how near a repaired photo is to the true one with PSNR, in decibels. Higher is better; three more decibels
# mean half the squared error.


# %%
def decibels(true, other):
    """PSNR of each image, written as a caption."""
    values = kgen.metrics.peak_signal_to_noise_ratio(true.astype("float32"), other.astype("float32"))
    return np.asarray(values)


def captions(words, true, other):
    return [f"{words}, {value:.1f} dB" for value in decibels(true, other)]


# %% [markdown]
# ## Noise
#
# A small sensor in bad light makes noise. We add some to clean photos, so that we know the answer.

# %%
noise = np.random.default_rng(0).normal(scale=25, size=photos.shape)
noisy = np.clip(photos + noise, 0, 255).round().astype("uint8")

denoiser = kgen.models.ImageRestorer.from_preset("denoise_photo")
denoised = denoiser.restore(noisy)
gained = float((decibels(photos, denoised) - decibels(photos, noisy)).mean())
print(f"The photos gained {gained:.1f} dB.")
show_images(
    np.concatenate([noisy, denoised]),
    captions("noisy", photos, noisy) + captions("denoised", photos, denoised),
    columns=3,
)

# %% [markdown]
# The network was not told how strong the noise is. It removes the grain, and with it some of the finest fur: what looks
# like noise goes too.
#
# ## Too small
#
# Now we shrink the photos to 128 pixels and enlarge them again. We compare with a bicubic kernel, which most programs
# use.

# %%
small = np.stack([np.asarray(Image.fromarray(photo).resize((128, 128), Image.Resampling.BICUBIC)) for photo in photos])
bicubic = np.stack([np.asarray(Image.fromarray(photo).resize((256, 256), Image.Resampling.BICUBIC)) for photo in small])

upscaler = kgen.models.ImageRestorer.from_preset("upscale_photo_2x")
enlarged = upscaler.restore(small)
show_images(
    np.concatenate([bicubic, enlarged]),
    captions("bicubic", photos, bicubic) + captions("network", photos, enlarged),
    columns=3,
)

# %% [markdown]
# Look at the edges: the eyes, the rim of the cup. They are crisper below. What was lost when the photos were shrunk
# does not come back, and the network does not invent it.
#
# ## Scratched
#
# Someone wrote on the photos. We know where, so we can say which pixels are missing: that is the mask. Known pixels
# stay exactly as they are.

# %%
drawing = Image.new("L", (256, 256))
pen = ImageDraw.Draw(drawing)
pen.line([(10, 30), (90, 120), (40, 200), (150, 240), (245, 180)], fill=255, width=5, joint="curve")
pen.line([(120, 5), (150, 90), (250, 70)], fill=255, width=4, joint="curve")
pen.text((70, 140), "DO NOT COPY", fill=255, font_size=22)
missing = np.asarray(drawing) > 0
scratched = np.where(missing[None, :, :, None], np.uint8(255), photos)

filler = kgen.models.ImageRestorer.from_preset("inpaint_photo")
filled = filler.restore(scratched, masks=np.stack([missing] * 3))
assert np.array_equal(filled[:, ~missing], photos[:, ~missing])
show_images(
    np.concatenate([scratched, filled]),
    captions("scratched", photos, scratched) + captions("filled in", photos, filled),
    columns=3,
)

# %% [markdown]
# ## Damage of your own
#
# Your photos may suffer from something else. Then you describe the damage, and a network learns to undo it from clean
# photos alone, which are damaged anew in each step. Here it is a print that was scanned out of focus, with a little
# grain. We train on other photos than those above.

# %%
training_photos = [skimage.data.rocket(), load_sample_image("china.jpg"), load_sample_image("flower.jpg")]
patches = kgen.data.random_patches(training_photos, 64, count=8000 if gpu else 1200, seed=0)

damage = [kgen.layers.Blur((1.2, 1.6)), kgen.layers.GaussianNoise((1, 4))]
network = kgen.networks.restoration_network(filters=24, blocks=3)
restorer = kgen.models.ImageRestorer(damage, network=network, ema_momentum=0.99, seed=0)
epochs = 20 if gpu else 6
steps = epochs * -(-len(patches) // 16)
restorer.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)))
history = restorer.fit(patches, validation_data=patches[:64], epochs=epochs, batch_size=16, verbose=2)
plot_history(history)

# %% [markdown]
# PSNR is measured against the clean patches and rises, quickly at first. Now the photos that the network never saw:

# %%
damaged = keras.ops.convert_to_numpy(restorer.degraded(photos / np.float32(255), keras.random.SeedGenerator(1)))
damaged = np.clip(255 * damaged, 0, 255).round().astype("uint8")
repaired = restorer.restore(damaged)
own_gained = float((decibels(photos, repaired) - decibels(photos, damaged)).mean())
show_images(
    np.concatenate([damaged, repaired]),
    captions("damaged", photos, damaged) + captions("repaired", photos, repaired),
    columns=3,
)

# %% [markdown]
# ## In another style
#
# `StyleTransfer` draws a photo with the colours and strokes of any other image. The style may be a painting. We have
# none here, so we take patterns that kgen draws: strokes, dots, and a mosaic.

# %%
strokes, dots, mosaic = kgen.data.textures(18, image_size=256, seed=0)[[9, 15, 17]]
stylist = kgen.models.StyleTransfer.from_preset("style_efficientnet_lite0")
rows = [np.stack([style, *(stylist.stylize(photo, style) for photo in photos)]) for style in (strokes, dots, mosaic)]
show_images(np.concatenate(rows), columns=4)

# %% [markdown]
# The left column shows the styles. The network learned from patterns alone, and it copies strokes and threads better
# than shapes: large tiles come out broken. You can still recognise what each photo shows.
#
# You choose how far to go. `strength` mixes the result with the photo. `preserve_color` changes the brush, but not the
# colours. You can mix two styles, with weights. `texture=0` takes only the colours.

# %%
choices = {
    "strength 0.3": stylist.stylize(astronaut, strokes, strength=0.3),
    "strength 0.6": stylist.stylize(astronaut, strokes, strength=0.6),
    "strength 1": stylist.stylize(astronaut, strokes),
    "its own colours": stylist.stylize(astronaut, strokes, preserve_color=True),
    "strokes and dots": stylist.stylize(astronaut, [strokes, dots], weights=[1, 1]),
    "without texture": stylist.stylize(astronaut, strokes, texture=0),
}
show_images(np.stack(list(choices.values())), list(choices), columns=3)

# %% [markdown]
# ## What to try next
#
# - Your own photos, whole: `restorer.restore(photo)` works in tiles and keeps transparency. In a shell: `kgen restore
#   photo.jpg --preset upscale_photo_2x` and `kgen stylize photo.jpg painting.jpg -o painted.png`.
# - Other damage: `kgen.layers` has `JpegCompression`, `PoissonNoise`, `LowLight`, `ColorCast`, `Downscale` and
#   `RandomMask`, in any order. Train longer, and on more photos: three are few.
# - A discriminator, `ImageRestorer(..., discriminator=...)`, for results that look sharper but are less accurate.
# - Your own styles: the script
#   [style_transfer.py](https://github.com/keras-kgen/keras-kgen/blob/main/examples/style_transfer.py) learns from two
#   folders, of photos and of art.
#
# The photos are from scikit-image (astronaut: NASA, public domain; chelsea and coffee: CC0; rocket: SpaceX, public
# domain) and scikit-learn (china by danielbuechele and flower by vultilion, CC BY 2.0).
