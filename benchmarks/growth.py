"""How time and memory grow with the batch, the size of images and how many there are: linearly, and where they do not.

    taskset -c 0 python benchmarks/growth.py                   # all tables
    taskset -c 0 python benchmarks/growth.py batch pixels      # some of them
    taskset -c 0 python benchmarks/growth.py batch 64          # one row

Each row is of a process of its own: processor seconds of the work, then what one unit of it took (an image of a batch,
a pixel, a caption), and the largest resident set in MB, TensorFlow's own 600 MB or so included. Where growth is linear,
the third column stays what it is. Of memory maps only what is not theirs counts, as the system takes their pages back
whenever it needs them.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


# === What is done; each gives processor seconds, and in how many units ===
def _timed(function, units):
    begin = time.process_time()
    function()
    return time.process_time() - begin, units


def _step(size, count, steps=6):
    """Processor seconds of a training step of `GAN.from_image_shape`."""
    import numpy as np

    import kgen

    images = np.random.default_rng(0).integers(0, 256, (steps * count, size, size, 3), "uint8")
    gan = kgen.models.GAN.from_image_shape((size, size, 3))
    gan.compile()
    gan.fit(images[: 2 * count], batch_size=count, verbose=0)
    seconds, _ = _timed(lambda: gan.fit(images, batch_size=count, verbose=0), count)
    return seconds / steps


def batch(count):
    """A step of `GAN.from_image_shape((64, 64, 3))`, by images in its batch; per image."""
    return _step(64, count), count


def pixels(size):
    """A step of `GAN.from_image_shape`, eight images in its batch, by pixels a side; per pixel."""
    return _step(size, 8), 8 * size**2


def attention(size):
    """`kgen.layers.SelfAttention2D` of 64 channels, forward and back, by places a side of its grid; per place."""
    import keras
    import numpy as np

    import kgen

    inputs = keras.Input((size, size, 64))
    model = keras.Model(inputs, kgen.layers.SelfAttention2D()(inputs))
    model.compile("sgd", "mse")
    grid = np.random.default_rng(0).normal(size=(2, size, size, 64)).astype("float32")
    model.train_on_batch(grid, grid)
    return _timed(lambda: model.train_on_batch(grid, grid), size * size)


def captions(count):
    """`TextToImage.fit`, an epoch of 16 x 16 pixels, features and tokens included, by captions; per caption."""
    import numpy as np

    import kgen

    random = np.random.default_rng(0)
    colors, things = ("red", "green", "blue", "old", "small"), ("cat", "tree", "house", "car", "apple")
    texts = [f"a {random.choice(colors)} {random.choice(things)} number {i}" for i in range(count)]
    images = random.integers(0, 256, (count, 16, 16, 3), "uint8")
    model = kgen.models.TextToImage("tiny_minilm_en_zh", (16, 16, 3), seed=0)
    model.compile()
    model.fit({"images": images[:64], "captions": texts[:64]}, verbose=0)
    return _timed(lambda: model.fit({"images": images, "captions": texts}, verbose=0), count)


def remembered(count):
    """`TextToImage.generate` of one prompt at 16 x 16 pixels, by captions that it remembers; per call."""
    import kgen

    model = kgen.models.TextToImage("tiny_minilm_en_zh", (16, 16, 3), seed=0)
    model.remember([f"thing number {i}" for i in range(count)], verbose=0)
    prompts = [f"a thing like {i}" for i in range(100)]
    model.generate(prompts[0], seed=0)
    return _timed(lambda: [model.generate(prompt, seed=0, verbose=0) for prompt in prompts], len(prompts))


def generate(count):
    """`GAN.from_image_shape((32, 32, 3)).generate`, by images; per image."""
    import kgen

    gan = kgen.models.GAN.from_image_shape((32, 32, 3))
    gan.generate(64, seed=0, verbose=0)
    return _timed(lambda: gan.generate(count, seed=0, verbose=0), count)


def restore(width):
    """`denoise_photo`, photographs of 3 by 2, by pixels of width; per pixel."""
    import numpy as np

    import kgen

    model = kgen.models.ImageRestorer.from_preset("denoise_photo")
    model.restore(np.zeros((64, 64, 3), "uint8"), verbose=0)
    photo = np.zeros((width * 2 // 3, width, 3), "uint8")
    return _timed(lambda: model.restore(photo, verbose=0), photo.size // 3)


def mapped(height):
    """A network of one layer, from one memory map into another, 12,000 pixels wide, by pixels of height; per pixel."""
    import keras
    import numpy as np

    import kgen

    images = keras.Input((None, None, 3))
    network = keras.Model(images, keras.layers.Conv2D(3, 1)(images))
    model = kgen.models.ImageRestorer(kgen.layers.GaussianNoise(25), network=network)
    with tempfile.TemporaryDirectory() as folder:
        shape = height, 12_000, 3
        photo, out = (np.lib.format.open_memmap(f"{folder}/{name}", "w+", "uint8", shape) for name in "io")
        return _timed(lambda: model.restore(photo, out=out, verbose=0), height * 12_000)


TABLES = {
    batch: (8, 16, 32, 64, 128),
    pixels: (32, 64, 128, 256),
    attention: (8, 16, 32, 64),
    captions: (1000, 4000, 16_000),
    remembered: (100, 1000, 10_000),
    generate: (100, 1000, 10_000),
    restore: (1500, 3000, 6000),
    mapped: (600, 2400, 9000),
}


# === Each row in a process of its own ===
def _watch_memory_of_its_own(peak):
    while True:
        with open("/proc/self/status") as status:
            peak[0] = max(peak[0], next(int(line.split()[1]) / 1000 for line in status if line.startswith("RssAnon")))
        time.sleep(0.02)


def _row(function, cell):
    own = [0.0]
    if function is mapped:
        threading.Thread(target=_watch_memory_of_its_own, args=(own,), daemon=True).start()
    seconds, units = function(cell)
    peak = own[0] or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"| {cell:,} | {seconds:,.3f} s | {1e6 * seconds / units:,.2f} us | {peak:,.0f} |", flush=True)


def main():
    tables = {function.__name__: function for function in TABLES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=f"tables, of {', '.join(tables)}; or one of them and a number")
    what = parser.parse_args().what
    if len(what) == 2 and what[1].isdigit():
        return _row(tables[what[0]], int(what[1]))
    unknown = [name for name in what if name not in tables]
    if unknown:
        parser.error(f"unknown table {unknown[0]!r}; choose from {', '.join(tables)}")
    for name in what or tables:
        print(f"\n{tables[name].__doc__}\n\n| | all | each | MB |\n|-|-|-|-|", flush=True)
        for cell in TABLES[tables[name]]:
            subprocess.run([sys.executable, "-W", "ignore", __file__, name, str(cell)], check=True)


if __name__ == "__main__":
    main()
