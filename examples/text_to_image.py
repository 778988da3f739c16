"""Text to image: trains kgen.models.TextToImage on OpenMoji images and their names.

    python examples/text_to_image.py                                    # trains, in four to six minutes on two cores
    python examples/text_to_image.py --generate "a red apple" "a cat"   # uses the trained model
    kgen train my_images                                                # the same on your own images with captions

Writes to --output: model.keras (to continue training), saved_model/ (for deployment), samples/ (a grid every few
epochs), and images.png. An interrupted run continues when you start it again with the same options; other
options are refused. Step by step, on a folder: notebooks/words_to_images.ipynb.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Without AVX-512 TensorFlow turns these convolutions off, though they are two to three times as fast.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

PROMPTS = [
    "a red apple", "a cat", "a rocket", "a slice of pizza", "a smiling face", "a guitar", "an umbrella", "a bicycle",
    "a rainbow", "a snowman", "an octopus", "a hamburger", "a fire engine", "a sunflower", "a penguin", "a key",
]  # fmt: skip
SIZES = [16, 32, 48, 64, 128, 256]
GROUPS = ["smileys-emotion", "animals-nature", "food-drink", "travel-places", "activities", "objects"]


def main():
    options = parse_arguments()
    if options.generate:
        generate(options)
    else:
        train(options)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("text_to_image"), help="directory for the results")
    parser.add_argument("--generate", nargs="+", metavar="PROMPT", help="use the trained model instead of training")
    parser.add_argument("--seed", type=int, default=0, help="for training, or for the generated images")
    parser.add_argument("--image-size", type=int, default=64, choices=SIZES, help="height and width in pixels")
    parser.add_argument("--steps", type=int, default=1600, help="training steps, rounded to whole epochs")
    parser.add_argument("--batch-size", type=int, default=32, help="images in a step")
    parser.add_argument("--prompts", nargs="+", help="prompts of the sample grids")
    parser.add_argument("--limit", type=int, help="use only this many images, for a quick try")
    options = parser.parse_args()
    if options.steps < 1 or options.batch_size < 1:
        parser.error("--steps and --batch-size must be at least 1")
    return options


def train(options):
    start = time.time()
    try:
        from kgen.command.captioned_training import train_captioned
    except ImportError as error:
        sys.exit(f'{error}. Install kgen first: pip install -e ".[demo]"')

    prompts = options.prompts or PROMPTS
    numbers = {name: getattr(options, name) for name in ("steps", "batch_size", "seed")}
    try:
        # Its text encoder is the preset tiny_minilm_en_zh, which reads English and Chinese.
        train_captioned(
            openmoji(options.image_size)[: options.limit], options.output, "OpenMoji", prompts=prompts, **numbers
        )
    except FileExistsError as error:
        sys.exit(str(error))
    print(f"{time.time() - start:.0f} s in all. In {options.output}: images.png, samples/, model.keras, saved_model/.")
    print(f'Now: python {sys.argv[0]} --output {options.output} --generate "{prompts[0]}"')


def openmoji(image_size):
    """OpenMoji images with their names as captions."""
    import kgen

    data = kgen.data.openmoji(image_size, groups=GROUPS)
    # Users write "a red apple", whose text features differ from those of OpenMoji's "red apple".
    articles = [("an " if each[0][0] in "aeiou" else "a ") + each[0] for each in data.captions]
    captions = [[*each, extra] for each, extra in zip(data.captions, articles)]
    return kgen.data.CaptionedImages(data.images, captions, data.file_names)


def generate(options):
    """Generates images with the SavedModel, which needs only TensorFlow."""
    saved = options.output / "saved_model"
    if not saved.is_dir():
        sys.exit(f"There is no trained model in {options.output}. Train one first: python {sys.argv[0]}")
    import tensorflow as tf
    from PIL import Image

    # Optimizing the graph would take longer than generating a few images.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    serve = tf.saved_model.load(saved).signatures["serving_default"]
    seeds = tf.range(options.seed, options.seed + len(options.generate))
    images = serve(prompts=tf.constant(options.generate), seeds=seeds)["images"].numpy()
    for number, (prompt, image) in enumerate(zip(options.generate, images)):
        name = "".join(letter if letter.isalnum() else "_" for letter in prompt)[:60]
        file = options.output / f"{number:02d}_{name}.png"
        Image.fromarray(image).resize((4 * image.shape[1], 4 * image.shape[0]), Image.NEAREST).save(file)
        print(file)


if __name__ == "__main__":
    main()
