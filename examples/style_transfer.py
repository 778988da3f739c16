"""Style transfer: trains kgen.models.StyleTransfer, then restyles photos it has not seen.

    python examples/style_transfer.py                                          # trains, and shows results
    python examples/style_transfer.py --contents my_photos --styles my_art     # on folders of your own
    python examples/style_transfer.py --stylize photo.jpg --style painting.jpg # uses the trained model

By default the photos are those of scikit-image and scikit-learn, and the styles are patterns that kgen draws. Writes
to --output: model.keras (to continue training), saved_model/ (for deployment), stylized.png (photos and styles),
choices.png (one photo at four strengths, in a mix of two styles, and with its own colours). --stylize uses saved_model,
which copies colours and contrasts of a style, but not its texture. To stylize without training, see
notebooks/enhancement_and_style.ipynb.
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

TRAINED_ON = ["astronaut", "camera", "coins", "hubble_deep_field", "immunohistochemistry", "rocket", "china"]
HELD_OUT = ["chelsea", "coffee", "flower"]


def main():
    options = parse_arguments()
    if options.stylize:
        stylize(options)
    else:
        train(options)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("style_transfer"), help="directory for the results")
    parser.add_argument("--stylize", type=Path, metavar="FILE", help="use the trained model on an image")
    parser.add_argument("--style", type=Path, metavar="FILE", help="image that gives the style")
    parser.add_argument("--strength", type=float, default=1.0, help="strength of the style, from 0 to 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--contents", type=Path, help="folder of photos to learn from")
    parser.add_argument("--styles", type=Path, help="folder of images that give the styles")
    parser.add_argument("--encoder", default="efficientnet_lite0", help='or "vgg19", which Keras downloads')
    parser.add_argument("--image-size", type=int, default=128, help="side of the training crops")
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--style-weight", type=float, default=10.0)
    parser.add_argument("--policy", default="auto", help="dtype policy; auto: mixed_bfloat16 where it is fast")
    options = parser.parse_args()
    if options.steps < 1 or options.batch_size < 1:
        parser.error("--steps and --batch-size must be at least 1")
    if options.stylize and not options.style:
        parser.error("--stylize needs --style, an image")
    return options


def train(options):
    start = time.time()
    try:
        import keras
        import numpy as np

        import kgen
    except ImportError as error:
        sys.exit(f"{error}. Install kgen first: pip install -e .")

    kgen.files.check_writable("--output", options.output / "model.keras")  # before the work, not after it
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(quick_policy() if options.policy == "auto" else options.policy)
    size = options.image_size
    contents = crops(photos(options.contents, TRAINED_ON), 800, size, options.seed)
    if options.styles:
        styles = crops(photos(options.styles), 400, size, options.seed)
    else:
        styles = kgen.data.textures(400, size, options.seed)
    model = kgen.models.StyleTransfer(options.encoder, ema_momentum=0.99, seed=options.seed)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, options.steps)),
        style_weight=options.style_weight,
    )
    model.fit(
        np.resize(contents, (options.steps * options.batch_size, *contents.shape[1:])),
        styles,
        batch_size=options.batch_size,
        verbose=1 if sys.stdout.isatty() else 2,
    )

    model.save(options.output / "model.keras")
    model.export(options.output / "saved_model")

    shown = photos(options.contents, HELD_OUT)[:3]
    shown = np.stack([square(image, 2 * size) for image in shown])
    others = styles[:6] if options.styles else kgen.data.textures(6, 2 * size, options.seed + 1)
    others = np.stack([square(image, 2 * size) for image in others])
    rows = [np.full_like(shown[:1], 255), shown]
    for style in others:
        rows += [style[None], model.stylize(shown, style)]
    kgen.visualization.save_images(options.output / "stylized.png", np.concatenate(rows), columns=1 + len(shown))

    photo, (first, second) = shown[0], others[:2]
    choices = {f"strength {x}": model.stylize(photo, first, strength=x) for x in (0.0, 0.4, 0.7, 1.0)}
    choices["1 : 1 with another"] = model.stylize(photo, [first, second])
    choices["the other"] = model.stylize(photo, second)
    choices["colours kept"] = model.stylize(photo, first, preserve_color=True)
    drawn, captions = np.stack([photo, *choices.values()]), ["the photo", *choices]
    kgen.visualization.save_images(options.output / "choices.png", drawn, captions, columns=len(choices) // 2 + 1)

    losses = model.evaluate(shown, others, batch_size=1, verbose=0, return_dict=True)
    report = {**{name: float(value) for name, value in losses.items()}, "seconds": time.time() - start}
    (options.output / "report.json").write_text(json.dumps(report) + "\n")
    print("\n" + ", ".join(f"{name} {value:.3g}" for name, value in report.items()))
    print(f"In {options.output}: stylized.png, choices.png, model.keras, saved_model/.")


def quick_policy():
    """mixed_bfloat16 on processors with AMX for bfloat16; float32 elsewhere."""
    flags = Path("/proc/cpuinfo")
    return "mixed_bfloat16" if flags.exists() and "amx_bf16" in flags.read_text() else "float32"


def photos(folder=None, names=()):
    """A list of RGB arrays: the photos of a folder, or named photos of scikit-image and scikit-learn."""
    import numpy as np
    from PIL import Image

    if folder:
        found = []
        for file in sorted(file for file in Path(folder).rglob("*") if file.is_file()):
            try:
                with Image.open(file) as image:
                    found.append(np.asarray(image.convert("RGB")))
            except OSError as error:
                print(f"Left out: {error}")
        return found or sys.exit(f"There are no images in {folder}.")
    try:
        from skimage import data
        from sklearn.datasets import load_sample_image
    except ImportError as error:
        sys.exit(f"{error}. pip install scikit-image scikit-learn, or give photos of your own: --contents FOLDER.")
    of_sklearn = ("china", "flower")
    found = [load_sample_image(f"{name}.jpg") if name in of_sklearn else getattr(data, name)() for name in names]
    return [np.asarray(Image.fromarray(image).convert("RGB")) for image in found]


def crops(images, count, size, seed):
    """Random square crops of images at random scales; half of them are mirrored."""
    import numpy as np
    from PIL import Image

    numbers = np.random.default_rng(seed)
    images = [Image.fromarray(image) for image in images]
    found = np.empty((count, size, size, 3), "uint8")
    for i in range(count):
        image = images[i % len(images)]
        side = numbers.uniform(min(size, *image.size), min(image.size))
        left, top = numbers.uniform(0, np.array(image.size) - side)
        box = (left, top, left + side, top + side)
        cut = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))
        found[i] = cut[:, ::-1] if numbers.random() < 0.5 else cut
    return found[numbers.permutation(count)]


def square(image, size):
    """The central square of an image, resized."""
    import numpy as np
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.fit(Image.fromarray(image), (size, size), Image.Resampling.LANCZOS))


def stylize(options):
    """Restyles a photo with the SavedModel, which needs only TensorFlow."""
    saved = options.output / "saved_model"
    if not saved.is_dir():
        sys.exit(f"There is no trained model in {options.output}. Train one first: python {sys.argv[0]}")
    missing = [str(file) for file in (options.stylize, options.style) if not file.is_file()]
    if missing:
        sys.exit(f"There is no such image: {', '.join(missing)}")
    import numpy as np
    import tensorflow as tf
    from PIL import Image

    images = []
    for file in (options.stylize, options.style):
        with Image.open(file) as image:
            images.append(tf.constant(np.asarray(image.convert("RGB"))[None]))
    serve = tf.saved_model.load(saved).signatures["serving_default"]
    drawn = serve(images=images[0], styles=images[1], strength=tf.constant([options.strength], tf.float32))
    file = options.output / f"{options.stylize.stem}_in_{options.style.stem}.png"
    Image.fromarray(drawn["images"].numpy()[0]).save(file)
    print(f"Drew {file}")


if __name__ == "__main__":
    main()
