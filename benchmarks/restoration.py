"""Photo restoration by ImageRestorer, scikit-image and Pillow: noise, small size, missing parts.

    apt-get download lomiri-wallpapers-16.04 lomiri-wallpapers-20.04
    for package in lomiri-wallpapers-*.deb; do dpkg-deb -x $package photos; done
    taskset -c 1 python benchmarks/restoration.py denoise --photos photos --seconds 300
    taskset -c 1 python benchmarks/restoration.py upscale --photos photos --seconds 300
    taskset -c 1 python benchmarks/restoration.py upscale --scale 4 --photos photos --seconds 300
    taskset -c 1 python benchmarks/restoration.py inpaint --photos photos --seconds 300
    taskset -c 1 python benchmarks/restoration.py inpaint --measure inpaint_photo

Trains on the photographs of a folder for the given processor time, or takes a preset, and tests on six photographs of
scikit-image and scikit-learn, none of which may be in the folder. PSNR is over all values of an image, from 0 to 255;
for `upscale` it is over luma (ITU-R BT.601, from 16 to 235) without a border as wide as the scale, as in papers. The
other methods use the parameters that are best on these test images. Needs scikit-image and scikit-learn, and `denoise`
also PyWavelets.
"""

import argparse
import io
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from clock import Seconds
from PIL import Image

import kgen
from kgen.layers import Blur, Downscale, GaussianNoise, JpegCompression, RandomMask


def test_images():
    import skimage.data
    import sklearn.datasets

    images = {name: getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}
    for name in ("china", "flower"):
        images[name] = sklearn.datasets.load_sample_image(f"{name}.jpg")
    # Multiples of 4, so that half the size is a whole, even number.
    return {name: p[: p.shape[0] // 4 * 4, : p.shape[1] // 4 * 4, :3] for name, p in images.items()}


def training_images(folder, side):
    """Photographs reduced to a longer side of `side` pixels, which also removes noise and JPEG artefacts."""
    images = []
    for name in kgen.data.ImageFolder(folder, side).files:
        with Image.open(Path(folder) / name) as image:
            image = image.convert("RGB")
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
            images.append(np.asarray(image))
    print(f"{len(images)} photographs of {sum(p.size for p in images) / 3e6:.1f} million pixels", flush=True)
    return images


def trained(options, degradations, scale=1):
    if options.measure:
        return kgen.models.ImageRestorer.from_preset(options.measure)
    patches = kgen.data.random_patches(
        training_images(options.photos, options.side), options.patch, options.patches, options.seed
    )
    # Some without colour, which then gets none from the network.
    for patch in patches[: int(options.grey * len(patches))]:
        patch[:] = np.asarray(Image.fromarray(patch).convert("L"))[..., None]

    def built():
        network = kgen.networks.restoration_network(
            3, scale, isinstance(degradations[-1], RandomMask), options.filters, options.blocks
        )
        return kgen.models.ImageRestorer(degradations, scale, network=network, seed=options.seed)

    restorer = built()
    if options.start:
        start = kgen.models.ImageRestorer.from_preset(options.start)
        restorer.network.set_weights(start.average.network.get_weights())
        restorer.average.network.set_weights(start.average.network.get_weights())
    restorer.compile(keras.optimizers.Adam(options.rate), loss=options.loss, steps_per_execution=8)
    clock = Seconds(options.seconds, options.rate)
    restorer.fit(patches, epochs=10_000, batch_size=options.batch_size, verbose=0, callbacks=[clock])
    count, steps = restorer.network.count_params(), int(restorer.optimizer.iterations)
    print(f"trained {count:,} weights for {steps} steps", flush=True)
    # Measured and saved in float32, whatever the dtype policy of training.
    keras.config.set_dtype_policy("float32")
    exact = built()
    exact.network.set_weights(restorer.network.get_weights())
    exact.average.set_weights(restorer.average.get_weights())
    return exact


def psnr(clean, other):
    return -10 * np.log10(np.mean((np.float64(clean) - np.float64(other)) ** 2) / 255**2)


def luma_psnr(clean, other, border):
    inner = slice(border, -border)
    return psnr(*(np.float64(p)[inner, inner] @ [65.481, 128.553, 24.966] / 255 for p in (clean, other)))


def table(images, methods, measure):
    """Prints a measure of each image by each method, and means; `methods` is a dict from names to dicts of images."""
    print(f"| | {' | '.join(images)} | mean |\n|-|{'-|' * (len(images) + 1)}")
    for name, results in methods.items():
        values = [measure(images[key], results[key]) for key in images]
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in (*values, np.mean(values)))} |", flush=True)


def best(images, function, choices):
    """`(choice, results)` of the choice with the best mean PSNR."""
    results = {choice: {name: function(name, choice) for name in images} for choice in choices}
    means = {choice: np.mean([psnr(images[n], r[n]) for n in images]) for choice, r in results.items()}
    choice = max(means, key=means.get)
    return choice, results[choice]


def comparison(clean, inputs, methods):
    """A function that runs a method on inputs in [0, 1] with each choice, and adds the best results to `methods`."""

    def compare(name, function, choices):
        start = time.process_time()
        choice, results = best(clean, lambda n, c: 255 * np.clip(function(inputs[n], c), 0, 1), choices)
        seconds = (time.process_time() - start) / len(choices)
        methods[f"{name} ({choice})"] = results
        print(f"{name}: {seconds:.1f} processor seconds", flush=True)

    return compare


def spoiled(images, *degradations):
    """The uint8 images after these layers, one after the other."""
    results = {}
    for name, image in images.items():
        x = image[None] / np.float32(255)
        for degradation in degradations:
            x = degradation(x)
        results[name] = as_levels(x[0])
    return results


def by_restorer(restorer, inputs, masks=None):
    start = time.process_time()
    masks = masks or dict.fromkeys(inputs)
    results = {name: restorer.restore(image, masks[name], verbose=0) for name, image in inputs.items()}
    print(f"restored in {time.process_time() - start:.1f} processor seconds", flush=True)
    return results


def denoise(options):
    from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

    def total_variation(image, weight):
        return denoise_tv_chambolle(image, weight, channel_axis=axis(image))

    def wavelet(image, method):
        color = {"convert2ycbcr": image.ndim == 3, "channel_axis": axis(image)}
        return denoise_wavelet(image, deviation, method=method, rescale_sigma=True, **color)

    def non_local(image, choice):
        h, patch, distance = choice
        return denoise_nl_means(image, patch, distance, h * deviation, sigma=deviation, channel_axis=axis(image))

    def axis(image):
        return -1 if image.ndim == 3 else None

    sigma, deviation = options.sigma, options.sigma / 255
    degradations = [GaussianNoise(sigma if options.one_level else (0, 55), probability=options.noisy)]
    if options.jpeg:
        # A file that mixes the noise with its own errors.
        degradations.append(JpegCompression((40, 95), probability=options.jpeg))
    restorer = trained(options, degradations)
    clean = test_images()
    grey = {name: np.asarray(Image.fromarray(image).convert("L")) for name, image in clean.items()}
    noise = GaussianNoise(sigma, seed=options.seed)
    noisy = spoiled(clean, noise)
    without_colors = spoiled({name: image[..., None] for name, image in grey.items()}, noise)
    tests = {
        "noise": (clean, noisy),
        "noise, without colours": (grey, {name: image[..., 0] for name, image in without_colors.items()}),
    }
    for q in (90, 75, 50):
        tests[f"noise, then JPEG of quality {q}"] = clean, {name: through_jpeg(p, q) for name, p in noisy.items()}
    tests["no noise"] = clean, clean
    rows = [clean]
    for what, (original, inputs) in tests.items():
        methods = {}
        if inputs is not clean:
            methods["as it came"] = inputs
            compare = comparison(original, {name: np.float32(p) / 255 for name, p in inputs.items()}, methods)
            compare("total variation", total_variation, (0.04, 0.06, 0.08, 0.1, 0.12, 0.15))
            compare("wavelet", wavelet, ("BayesShrink", "VisuShrink"))
            compare("non-local means", non_local, [(h, *p) for h in (0.5, 0.65, 0.8) for p in ((5, 6), (3, 10))])
        if options.start:
            start = kgen.models.ImageRestorer.from_preset(options.start)
            methods[str(options.start)] = by_restorer(start, inputs)
        methods["ImageRestorer"] = by_restorer(restorer, inputs)
        print(f"\n{what}")
        table(original, methods, psnr)
        if original is clean:
            rows += [inputs, methods["ImageRestorer"]]
    finish(options, restorer, *rows)


def upscale(options):
    clean, scale = test_images(), options.scale
    # What photographs are like before they are enlarged: some soft, some noisy, most from a JPEG file.
    downscale = Downscale(scale)
    blur = Blur((0, 0.5 * scale), probability=0.3)
    found = [GaussianNoise((0, 5), probability=0.3), JpegCompression((40, 95), probability=0.7)]
    restorer = trained(options, [downscale] if options.clean else [blur, downscale, *found], scale)
    small = spoiled(clean, downscale)
    noisy = spoiled(small, GaussianNoise(3, seed=options.seed))
    as_jpeg = {f"JPEG of quality {q}": {k: through_jpeg(p, q) for k, p in small.items()} for q in (90, 80, 60, 40)}
    for what, inputs in {"clean": small, **as_jpeg, "noise of deviation 3": noisy}.items():
        kernels = ("bicubic", "lanczos")
        methods = {name: {key: enlarged(p, scale, name) for key, p in inputs.items()} for name in kernels}
        if options.start:
            start = kgen.models.ImageRestorer.from_preset(options.start)
            methods[str(options.start)] = by_restorer(start, inputs)
        methods["ImageRestorer"] = by_restorer(restorer, inputs)
        print(f"\n{what}")
        table(clean, methods, lambda a, b: luma_psnr(a, b, scale))
    finish(options, restorer, clean, methods["bicubic"], methods["ImageRestorer"])


def enlarged(image, scale, kernel):
    size = (scale * image.shape[1], scale * image.shape[0])
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling[kernel.upper()]))


def through_jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file))


def inpaint(options):
    from skimage.restoration import inpaint_biharmonic

    # Only the centre of each, because biharmonic systems grow fast.
    clean = {}
    for name, p in test_images().items():
        top, left = (p.shape[0] - 256) // 2, (p.shape[1] - 256) // 2
        clean[name] = p[top : top + 256, left : left + 256]
    restorer = trained(options, [RandomMask((0.1, 0.7), (1, 8))])
    for size, fraction in ((1, 0.5), (4, 0.3), (8, 0.2)):
        mask = RandomMask(fraction, size, seed=options.seed)
        masked = {name: keras.ops.convert_to_numpy(mask(p[None] / 255.0)[0]) for name, p in clean.items()}
        masks = {name: p[..., 3] > 0 for name, p in masked.items()}
        seen = {name: as_levels(p[..., :3]) for name, p in masked.items()}
        start = time.process_time()
        biharmonic = {
            name: 255 * np.clip(inpaint_biharmonic(seen[name] / 255, masks[name], channel_axis=-1), 0, 1)
            for name in clean
        }
        print(f"\nsquares of {size}, {fraction:.0%} missing; biharmonic: {time.process_time() - start:.1f} s")
        results = by_restorer(restorer, seen, masks)
        table(clean, {"as it came": seen, "biharmonic": biharmonic, "ImageRestorer": results}, psnr)
    wide_holes(restorer)
    finish(options, restorer, clean, seen, results)


def wide_holes(restorer):
    """PSNR within one square hole in the middle of 192 x 192 pixels, at four random places of each photograph."""
    from skimage.restoration import inpaint_biharmonic

    places, found = 4, {}
    for side in (16, 32, 64):
        mask = np.zeros((192, 192), bool)
        start = (192 - side) // 2
        mask[start : start + side, start : start + side] = True
        for name, photo in test_images().items():
            random = np.random.default_rng(0)
            for _ in range(places):
                top, left = random.integers(0, photo.shape[0] - 192), random.integers(0, photo.shape[1] - 192)
                clean = photo[top : top + 192, left : left + 192]
                seen = np.where(mask[..., None], 128, clean).astype("uint8")
                reach, restorer.reach = restorer.reach, 192
                at_one_scale = restorer.restore(seen, mask, verbose=0)
                restorer.reach = reach
                results = {
                    "biharmonic": 255 * np.clip(inpaint_biharmonic(seen / 255, mask, channel_axis=-1), 0, 1),
                    "ImageRestorer at one scale": at_one_scale,
                    "ImageRestorer": restorer.restore(seen, mask, verbose=0),
                }
                for method, result in results.items():
                    found.setdefault((side, method), {}).setdefault(name, []).append(psnr(clean[mask], result[mask]))
    for (side, method), by_name in found.items():
        values = [np.mean(values) for values in by_name.values()]
        print(
            f"| {side} | {method} | {' | '.join(f'{value:.2f}' for value in (*values, np.mean(values)))} |", flush=True
        )


def as_levels(image):
    return np.rint(255 * keras.ops.convert_to_numpy(image)).astype("uint8")


def finish(options, restorer, *rows):
    """Saves a grid with rows of clean, degraded and restored images, and the model."""
    cut = [np.stack([p[:256, :256] for p in row.values()]) for row in rows]
    columns = len(rows[0])
    kgen.visualization.save_images(options.output, np.concatenate(cut).round().astype("uint8"), columns=columns)
    if options.preset and not options.measure:
        # A preset for restoring needs only the average; equal weights are stored once.
        restorer.network.set_weights(restorer.average.network.get_weights())
        kgen.presets.save_preset(restorer, options.preset, dtype="float16")


JOBS = {"denoise": denoise, "upscale": upscale, "inpaint": inpaint}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("what", choices=list(JOBS))
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--photos", type=Path, help="folder of photographs to train on")
    data.add_argument("--measure", help="preset of ImageRestorer to measure, in place of training")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--sigma", type=float, default=25, help="of the noise to remove, in grey levels")
    parser.add_argument("--scale", type=int, default=2, help="of upscale")
    parser.add_argument("--one-level", action="store_true", help="train on this noise level only, not on 0 to 55")
    parser.add_argument("--noisy", type=float, default=1.0, help="denoise: share of images with noise")
    parser.add_argument("--jpeg", type=float, default=0.0, help="denoise: share of images made JPEGs after the noise")
    parser.add_argument("--side", type=int, default=800, help="longer side of the reduced photographs")
    parser.add_argument("--patch", type=int, default=64, help="side of the patches")
    parser.add_argument("--patches", type=int, default=8000)
    parser.add_argument("--filters", type=int, default=48)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--loss", default="auto", help="of pixels, as in ImageRestorer.compile")
    parser.add_argument("--policy", default="mixed_bfloat16", help="dtype policy of the training")
    parser.add_argument("--start", help="preset of ImageRestorer whose weights training begins with")
    parser.add_argument("--clean", action="store_true", help="upscale: learn from clean images alone")
    parser.add_argument("--grey", type=float, default=0.0, help="share of patches without colour")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="restored.png", help="PNG file: clean, degraded and restored images")
    parser.add_argument("--preset", type=Path, help="directory to save the model in")
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.policy)
    JOBS[options.what](options)


if __name__ == "__main__":
    main()
