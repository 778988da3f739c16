"""The VAEs of Pythae and kgen compared: the same dense networks, batches, epochs and optimizer on one core.

    pip install pythae torch
    taskset -c 0 python benchmarks/vae_pythae.py --epochs 10

Both learn Fashion-MNIST in black and white (a pixel is white above 127) with the Bernoulli likelihood and Pythae's own
default networks, 784-512-2 x 16 and 16-512-784, by Adam at 0.001. They take turns, one epoch each, in two processes on
the same core, so that other work on the machine slows both equally; seconds are processor time. Then Pythae's weights
are copied into kgen's networks, and the same code computes the ELBO and the importance-weighted bound of the 10,000
test images for both.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

LATENT_DIM, UNITS, RATE = 16, 512, 1e-3


def black_and_white(split, path):
    from kgen.data.fashion_mnist import fashion_mnist

    images, _ = fashion_mnist(split, path=path)
    return np.where(images > 127, 255, 0).astype("uint8")


class Turns:
    """Reports to the parent process when an epoch is over, and waits until the next may begin."""

    def __init__(self):
        self.seconds = []

    def begin(self):
        sys.stdin.readline()
        self.start = time.process_time()

    def end(self):
        self.seconds.append(time.process_time() - self.start)
        print(f"epoch took {self.seconds[-1]}", flush=True)


def build():
    import keras
    from keras import layers

    import kgen

    encoder = [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(UNITS, "relu"), layers.Dense(2 * LATENT_DIM)]
    decoder = [keras.Input((LATENT_DIM,)), layers.Dense(UNITS, "relu"), layers.Dense(784), layers.Reshape((28, 28, 1))]
    networks = keras.Sequential(encoder), keras.Sequential(decoder)
    return kgen.models.VAE(*networks, LATENT_DIM, reconstruction="bernoulli", seed=0)


def train_kgen(options):
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(options.seed)
    turns, vae = Turns(), build()

    class EachEpoch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            turns.begin()

        def on_epoch_end(self, epoch, logs=None):
            turns.end()

    vae.compile(keras.optimizers.Adam(RATE), steps_per_execution=options.steps_per_execution)
    images = black_and_white("train", options.data)
    vae.fit(images, epochs=options.epochs, batch_size=options.batch_size, verbose=0, callbacks=[EachEpoch()])
    return [weight for part in (vae.encoder, vae.decoder, vae.average.network) for weight in part.get_weights()]


def train_pythae(options):
    os.environ["KERAS_BACKEND"] = "torch"
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    turns = Turns()

    class EachEpoch(TrainingCallback):
        def on_epoch_begin(self, training_config, **kwargs):
            turns.begin()

        def on_epoch_end(self, training_config, **kwargs):
            turns.end()

    model = VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT_DIM, reconstruction_loss="bce"))
    pixels = torch.tensor(black_and_white("train", options.data).transpose(0, 3, 1, 2) / np.float32(255))
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            per_device_train_batch_size=options.batch_size,
            num_epochs=options.epochs,
            learning_rate=RATE,
            no_cuda=True,
            seed=options.seed,
        )
        dataset = BaseDataset(pixels, torch.zeros(len(pixels)))
        trainer = BaseTrainer(model, dataset, training_config=config, callbacks=[EachEpoch()])
        trainer.train()
    hidden, mean, log_variance = model.encoder.layers[0][0], model.encoder.embedding, model.encoder.log_var
    first, last = (layer[0] for layer in model.decoder.layers)
    dense = [
        # Pythae's encoder sees pixels in [0, 1], kgen's in [-1, 1].
        (hidden.weight / 2, hidden.bias + hidden.weight.sum(dim=1) / 2),
        (torch.cat([mean.weight, log_variance.weight]), torch.cat([mean.bias, log_variance.bias])),
        (first.weight, first.bias),
        (last.weight, last.bias),
    ]
    return [array for w, b in dense for array in (w.detach().numpy().T, b.detach().numpy())]


SIDES = {"kgen": train_kgen, "pythae": train_pythae}


def train_in_turns(options, folder):
    """Trains both; returns `{name: [seconds of each epoch]}` and leaves the weights in the folder."""
    sides = {}
    for name in SIDES:
        command = [
            sys.executable,
            __file__,
            *sys.argv[1:],
            "--train",
            name,
            "--output",
            str(Path(folder) / f"{name}.npz"),
        ]
        pipe = subprocess.PIPE
        sides[name] = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
    seconds = {name: [] for name in SIDES}
    for epoch in range(options.epochs):
        for name, process in sides.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            for line in process.stdout:
                if line.startswith("epoch took"):
                    seconds[name].append(float(line.split()[-1]))
                    break
            else:
                sys.exit(f"{name} stopped in epoch {epoch + 1}; try: python {__file__} --train {name} --output x.npz")
        print(
            f"epoch {epoch + 1}: " + ", ".join(f"{name} {each[-1]:.1f} s" for name, each in seconds.items()), flush=True
        )
    for process in sides.values():
        process.wait()
    return seconds


def measure(options, folder, seconds):
    images = black_and_white("test", options.data)[: options.limit]
    model, speed = build(), {}
    print("| | decoder | seconds an epoch | ELBO | importance-weighted bound |\n|-|-|-|-|-|")
    # Pythae has the decoder of the last step; kgen has that too, and generates with an average over steps.
    for name, which, decoder in (("kgen", "averaged", 8), ("kgen", "last", 4), ("pythae", "last", 4)):
        with np.load(Path(folder) / f"{name}.npz") as kept:
            weights = [kept[f"arr_{i}"] for i in range(len(kept.files))]
        model.encoder.set_weights(weights[:4])
        model.average.network.set_weights(weights[decoder : decoder + 4])
        elbo = model.elbo(images, samples=options.samples, batch_size=512, verbose=0).mean()
        bound = model.log_likelihood(images, samples=options.samples, batch_size=512, verbose=0).mean()
        # The first epoch includes compilation.
        speed[name] = np.median(seconds[name][1:] or seconds[name])
        print(f"| {name} | {which} | {speed[name]:.2f} | {elbo:.2f} | {bound:.2f} |", flush=True)
    print(f"kgen is {speed['pythae'] / speed['kgen']:.2f} times as fast; bounds in nats per image")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--samples", type=int, default=64, help="draws for each test image")
    parser.add_argument("--steps-per-execution", type=int, default=1, help="in the compile of kgen")
    parser.add_argument("--limit", type=int, help="measure only this many test images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="folder with the four idx files; default: where kgen finds them")
    parser.add_argument("--train", choices=list(SIDES), help="only train this one, an epoch per line of standard input")
    parser.add_argument("--output", help="file for the weights of --train")
    options = parser.parse_args()
    if options.train:
        np.savez(options.output, *SIDES[options.train](options))
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(options, folder, train_in_turns(options, folder))


if __name__ == "__main__":
    main()
