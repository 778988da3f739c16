"""A variational autoencoder on Fashion-MNIST: reconstructions, samples, latents, denoising, and unusual images.

    python examples/vae_fashion_mnist.py                                  # trains
    python examples/vae_fashion_mnist.py --denoise image.png --noise 0.2    # uses the trained model

Writes to --output: model.keras, saved_model/ (for deployment), samples/ (a grid after each epoch), and these grids:
reconstructions.png (test images, and their reconstructions below), generated.png (from the learned prior), between.png
(interpolations), traversal.png (a row for each of the most active latents), plane.png (the two most active latents),
denoised.png (clean, noisy, denoised), strangest.png (the least likely test images).
An interrupted run continues when you start it again with the same options; other options are refused.
notebooks/vae.ipynb explains what each of these is good for.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Without AVX-512 TensorFlow turns these convolutions off, though they are two to three times as fast.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def main():
    options = parse_arguments()
    if options.denoise:
        denoise(options)
    else:
        train(options)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("vae_fashion_mnist"), help="directory for the results")
    parser.add_argument("--denoise", type=Path, metavar="IMAGE", help="use the trained model on a 28 x 28 image")
    parser.add_argument("--noise", type=float, default=0.3, help="standard deviation of the noise; white is 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="folder with the four idx files; default: where kgen finds them")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the images")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--latent-dim", type=int, default=32)
    parser.add_argument("--units", type=int, default=512, help="width of the hidden layers")
    parser.add_argument("--limit", type=int, help="use only this many images, for a quick try")
    options = parser.parse_args()
    if options.epochs < 1 or options.batch_size < 1 or not options.noise > 0:
        parser.error("--epochs and --batch-size must be at least 1, --noise positive")
    return options


def build(options):
    """A VAE of dense networks, which train fastest on a CPU, with the optimal sigma for each image."""
    import keras
    from keras import layers

    import kgen

    # The networks' first weights come from Keras' own random numbers.
    keras.utils.set_random_seed(options.seed)
    shape, hidden = (28, 28, 1), {"units": options.units, "activation": "relu"}
    encoder = keras.Sequential(
        [keras.Input(shape), layers.Flatten(), layers.Dense(**hidden), layers.Dense(2 * options.latent_dim)]
    )
    decoder = keras.Sequential(
        [keras.Input((options.latent_dim,)), layers.Dense(**hidden), layers.Dense(28 * 28), layers.Reshape(shape)]
    )
    return kgen.models.VAE(encoder, decoder, options.latent_dim, reconstruction="optimal_gaussian", seed=options.seed)


def train(options):
    start = time.time()
    try:
        import numpy as np

        import kgen
    except ImportError as error:
        sys.exit(f"{error}. Install kgen first: pip install -e .")

    images = kgen.data.fashion_mnist("train", path=options.data)[0][: options.limit]
    held_out = kgen.data.fashion_mnist("test", path=options.data)[0][: options.limit]
    vae = build(options)
    vae.compile(steps_per_execution=16)
    named = ("epochs", "batch_size", "seed", "latent_dim", "units")
    run = {"data": str(options.data), "images": len(images), **{name: getattr(options, name) for name in named}}
    try:
        backup = kgen.callbacks.Backup(options.output, run, keep=True)
    except FileExistsError as error:
        sys.exit(str(error))
    vae.fit(
        images,
        epochs=options.epochs,
        batch_size=options.batch_size,
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            kgen.callbacks.SampleGrid(options.output / "samples", num_images=64),
            backup,
        ],
    )
    gained = vae.fit_prior(images[:10_000], verbose=0)
    vae.save(options.output / "model.keras")
    vae.export(options.output / "saved_model")
    backup.delete()

    def save(name, shown, columns):
        kgen.visualization.save_images(options.output / name, shown, columns=columns, scale=2)

    few = held_out[:16]
    save("reconstructions.png", np.concatenate([few, vae.reconstruct(few)]), 16)
    save("generated.png", vae.generate(160, seed=0), 16)
    save("between.png", np.concatenate([vae.interpolate(seed, seed + 1, steps=16) for seed in range(0, 8, 2)]), 16)
    latents = vae.encode(held_out, verbose=0)
    in_use = np.argsort(-latents.var(axis=0))
    around = latents[0]
    kgen.visualization.latent_traversal(vae, in_use[:8], latents=around, scale=2).save(options.output / "traversal.png")
    kgen.visualization.latent_grid(vae, in_use[:2], latents=around, scale=2).save(options.output / "plane.png")
    noise = np.random.default_rng(options.seed).normal(size=few.shape)
    noisy = np.clip(few + 255 * options.noise * noise, 0, 255).round().astype("uint8")
    denoised = vae.denoise(noisy, options.noise, verbose=0)
    save("denoised.png", np.concatenate([few, noisy, denoised]), 16)
    scores = vae.anomaly_score(held_out[:1000], samples=4, verbose=0)
    save("strangest.png", held_out[:1000][np.argsort(-scores)[:16]], 16)

    report = {name: float(value) for name, value in vae.evaluate(held_out, return_dict=True, verbose=0).items()}
    report["nats_gained_by_prior"] = gained
    report["psnr_noisy"], report["psnr_denoised"] = (psnr(few, other) for other in (noisy, denoised))
    report["seconds"] = time.time() - start
    (options.output / "report.json").write_text(json.dumps(report) + "\n")
    print("\n" + ", ".join(f"{name} {value:.4g}" for name, value in report.items()))
    print(f"In {options.output}: {', '.join(sorted(path.name for path in options.output.glob('*.png')))}, model.keras.")
    print(f"Now: python {sys.argv[0]} --output {options.output} --denoise IMAGE --noise 0.2")


def psnr(images, others):
    """The mean PSNR of images in dB: 10 log10(255^2 / mean squared error)."""
    import numpy as np

    squares = np.mean((images.astype("float64") - others) ** 2, axis=(1, 2, 3))
    return float(np.mean(10 * np.log10(255**2 / squares)))


def denoise(options):
    """Denoises a file with the saved model."""
    saved = options.output / "model.keras"
    if not saved.is_file():
        sys.exit(f"There is no trained model in {options.output}. Train one first: python {sys.argv[0]}")
    if not options.denoise.is_file():
        sys.exit(f"There is no image {options.denoise}.")
    import keras
    import numpy as np
    from PIL import Image

    import kgen  # noqa: F401  load_model knows its classes by it

    with Image.open(options.denoise) as image:
        noisy = np.asarray(image.convert("L"))
    if noisy.shape != (28, 28):
        sys.exit(f"{options.denoise} must be 28 x 28 pixels; it is {noisy.shape[1]} x {noisy.shape[0]}.")
    vae = keras.models.load_model(saved)
    found = vae.denoise(noisy[None, :, :, None], options.noise, verbose=0)[0, :, :, 0]
    file = options.output / f"{options.denoise.stem}_denoised.png"
    Image.fromarray(found).save(file)
    print(file)


if __name__ == "__main__":
    main()
