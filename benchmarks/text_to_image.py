"""What learns to draw from captions fastest: objectives and conditionings of TextToImage at equal processor time.

    taskset -c 0 python benchmarks/text_to_image.py --seconds 120

Every variant trains on the same OpenMoji pictures with the same MiniLM features for the same processor time, then draws
300 captions from the prior; the score is how often the right picture is nearer than 99 others (16x16 mean colours,
chance 1%). Prints a table in Markdown.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import keras
import text_to_image as example

import kgen
from kgen.models.text_conditioned import generative_model_for_text

# name: (objective, has tokens, sizes of the decoder)
VARIANTS = {
    "VAE, pooled and tokens (default)": ("vae", True, {}),
    "VAE, pooled": ("vae", False, {"blocks": (0, 2), "attention_resolutions": ()}),
    "VAE, sigma 0.5": ("vae", True, {}),
    "VAE-GAN": ("vae_gan", True, {}),
    "GAN": ("gan", True, {}),
}


class Clock(keras.callbacks.Callback):
    """Stops after so much processor time, counted from the end of the first step, which compiles."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds
        self.start = None
        self.steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.start = self.start or time.process_time()
        self.steps += 1
        if time.process_time() - self.start > self.seconds:
            self.model.stop_training = True


def measure(name, data, encoder, seconds):
    kind, tokens, sizes = VARIANTS[name]
    keras.utils.set_random_seed(0)
    token_dim = encoder.token_dim if tokens else None
    generative = generative_model_for_text(
        kind, data.image_shape, encoder.pooled_dim, token_dim, latent_dim=8, seed=0, **sizes
    )
    if name == "VAE, sigma 0.5":
        generative.reconstruction = kgen.losses.Gaussian(0.5)
    model = kgen.models.TextToImage(encoder, data.image_shape, generative, seed=0)
    if kind == "vae":
        model.compile(keras.optimizers.Adam(1.5e-3, beta_2=0.99, global_clipnorm=1.0))
    else:
        model.compile()
    clock = Clock(seconds)
    model.fit(data, epochs=10_000, verbose=0, callbacks=[clock])
    spent = time.process_time() - clock.start
    return clock.steps, 1000 * spent / clock.steps, example.retrieval(model, data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="processor time for each variant")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    options = parser.parse_args()
    data = example.load(argparse.Namespace(data=None, image_size=64, limit=None))
    encoder = kgen.text.TextEncoder.of(example.text_encoder(data), sequence_length=16)
    print(f"{len(data)} pictures, {sum(map(len, data.captions))} captions, {options.seconds:.0f} s of processor time\n")
    print("| variant | steps | ms a step | right among 100 |\n|-|-|-|-|", flush=True)
    for name in options.variants:
        steps, milliseconds, score = measure(name, data, encoder, options.seconds)
        print(f"| {name} | {steps} | {milliseconds:.0f} | {score:.0%} |", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\nPeak memory {peak:.1f} GiB; keras {keras.__version__} on {keras.backend.backend()}.")


if __name__ == "__main__":
    main()
