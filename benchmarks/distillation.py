"""Distillation of the preset openmoji_64 into a student with a quarter of its weights: how faithful the student is.

    taskset -c 0 python benchmarks/distillation.py

The teacher generates each emoji from its English name. The student has the same text encoder and a generator with a
quarter of the weights, and learns these images by `kgen.models.distill`. For comparison the same student learns the
original images for as many epochs. Then each model generates from the names, and from a sentence around them that
neither was trained on, with new latents. An image counts as right if its original is the nearest of 100, by 16 x 16
mean colours (chance 1%).
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import kgen


def student_of(teacher, options):
    decoder = {
        "condition_dim": options.condition_dim,
        "filters": (32, 48),
        "blocks": (0, 2),
        "attention_resolutions": (),
    }
    dims = teacher.text_encoder.pooled_dim, None
    generator = kgen.networks.text_generator(teacher.image_shape, teacher.latent_dim, *dims, **decoder)
    arguments = {"latent_dim": teacher.latent_dim, "prompt_cleaner": teacher.prompt_cleaner, "seed": options.seed}
    student = kgen.models.TextToImage(teacher.text_encoder, teacher.image_shape, generator=generator, **arguments)
    steps = options.epochs * -(-options.emoji // options.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=1.5e-3, warmup_steps=100)
    student.compile(keras.optimizers.Adam(rate, beta_2=0.99, global_clipnorm=1.0))
    return student


def weights_of(model):
    return model.average.network.count_params()


def recall(model, images, prompts):
    colours = kgen.metrics.FeatureExtractor(keras.layers.Flatten(), name="colours", image_size=16)
    measure = kgen.metrics.RetrievalRecall(colours, among=100, similarity="euclidean")
    measure.update_state(images, model.generate(prompts, seed=1, verbose=0))
    return measure.result()["recall_at_1_colours"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--condition-dim", type=int, default=200, help="most of the student's weights depend on it")
    parser.add_argument("--directory", help="folder for the teacher's images")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    teacher = kgen.models.TextToImage.from_preset("openmoji_64", text_encoder="own")
    data = kgen.data.openmoji(64)
    names = [captions[0] for captions in data.captions]
    options.emoji = len(names)
    sentences = [f"I would love to have a picture of {name}" for name in names]

    def report(title, model, seconds):
        scores = [f"{recall(model, data.images, prompts):.1%}" for prompts in (names, sentences)]
        print(f"| {title} | {weights_of(model):,} | {seconds} | {' | '.join(scores)} |", flush=True)

    print("| model | weights that draw | processor seconds | names | in a sentence |\n|-|-|-|-|-|", flush=True)
    report("teacher, openmoji_64", teacher, "")
    fit = {"epochs": options.epochs, "batch_size": options.batch_size, "verbose": 0}
    for title in ("student, taught by it", "the same, of the original images"):
        keras.utils.set_random_seed(options.seed)
        student, start = student_of(teacher, options), time.process_time()
        if "taught" in title:
            kgen.models.distill(teacher, student, names, options.directory, **fit)
        else:
            student.fit(data.images, names, **fit)
        report(title, student, f"{time.process_time() - start:.0f}")


if __name__ == "__main__":
    main()
