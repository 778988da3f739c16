"""Files and functions of kgen that one step of fit, one generate, one save and one load pass through.

    python benchmarks/trace_path.py                     # a table
    python benchmarks/trace_path.py --list TextToImage  # and the files of each, in order of first use

`sys.setprofile` notes each call of a function of kgen. `fit` makes one step of one batch on a compiled model, tracing
of the graph included; nothing runs before it but the constructor and `compile`. "back" counts returns to a file that was
left.
"""

import argparse
import collections
import os
import sys
import tempfile
import threading
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kgen

ROOT = Path(kgen.__file__).parent


class Trace:
    """A context that notes kgen's files and functions, in the order of their calls."""

    def __enter__(self):
        self.files, self.functions, self.back, self.last = collections.Counter(), set(), 0, None
        threading.setprofile(self.note)
        sys.setprofile(self.note)
        return self

    def __exit__(self, *raised):
        sys.setprofile(None)
        threading.setprofile(None)

    def note(self, frame, event, argument):
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(ROOT)):
            return
        # The body of a class or module is no function.
        if code.co_name == "<module>":
            return
        file = str(Path(code.co_filename).relative_to(ROOT))
        if file != self.last:
            self.back += file in self.files
            self.last = file
        self.files[file] += 1
        self.functions.add((file, code.co_qualname if hasattr(code, "co_qualname") else code.co_name))


def captions(count):
    colours, things = ("red", "blue", "green", "black"), ("apple", "cat", "star", "house")
    return [f"a {colours[i % 4]} {things[i // 4 % 4]}" for i in range(count)]


def works():
    """`(name, function that makes the model, arguments of fit, function that uses it)`."""
    images = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype="uint8")
    labelled = captions(len(images))

    def text_to_image():
        encoder = kgen.text.encoder_from_captions(labelled)
        encoder.trainable = False
        return kgen.models.TextToImage(encoder, image_shape=(32, 32, 3), seed=0)

    yield (
        "GAN",
        lambda: kgen.models.GAN.from_image_shape((32, 32, 3), seed=0),
        (images,),
        lambda model: model.generate(2, seed=0),
    )
    yield (
        "VAE",
        lambda: kgen.models.VAE.from_image_shape((32, 32, 3), seed=0),
        (images,),
        lambda model: model.generate(2, seed=0),
    )
    yield "TextToImage", text_to_image, (images, labelled), lambda model: model.generate("a red apple", seed=0)
    yield (
        "ImageRestorer",
        lambda: kgen.models.ImageRestorer([kgen.layers.GaussianNoise(25)], seed=0),
        (images,),
        lambda model: model.restore(images[0]),
    )


def traces(make, data, use):
    """A dict from what was done to its `Trace`."""
    model = make()
    model.compile()
    done = {name: Trace() for name in ("fit", "generate", "save", "load")}
    with done["fit"]:
        model.fit(*data, batch_size=16, epochs=1, verbose=0)
    with done["generate"]:
        use(model)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        with done["save"]:
            model.save(path)
        with done["load"]:
            keras.models.load_model(path)
    return done


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--list", metavar="MODEL", help="list the files that this model passes through")
    wanted = parser.parse_args().list
    print("| model | fit | generate | save | load | (files / functions / back) |\n|-|-|-|-|-|-|")
    for name, *parts in works():
        if wanted not in (None, name):
            continue
        done = traces(*parts)
        cells = [f"{len(t.files)} / {len(t.functions)} / {t.back}" for t in done.values()]
        print(f"| {name} | {' | '.join(cells)} | |", flush=True)
        if wanted:
            for what, trace in done.items():
                print(f"\n{what}: {', '.join(trace.files)}")


if __name__ == "__main__":
    main()
