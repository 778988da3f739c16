"""Peak memory of a process that trains, by size of image and batch; and that generates, or restores a large image.

    python benchmarks/memory.py train            # a table: GAN.from_image_shape, 4 steps
    python benchmarks/memory.py generate         # images of one call, 100 to 10,000
    python benchmarks/memory.py restore          # by denoise_photo, up to 12,000 x 9,000 pixels
    python benchmarks/memory.py map              # the same from one memory map into another, by a network of one layer

Each number is of a process of its own: the largest resident set, in MB, TensorFlow's own 600 MB or so included. Of
memory maps only what is not theirs counts, as the system takes their pages back whenever it needs them.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import threading
import time


def _train(size, batch):
    import numpy as np

    import kgen

    images = np.random.default_rng(0).integers(0, 256, (4 * batch, size, size, 3), "uint8")
    gan = kgen.models.GAN.from_image_shape((size, size, 3))
    gan.compile()
    gan.fit(images, batch_size=batch, verbose=0)


def _generate(count, _):
    import kgen

    kgen.models.GAN.from_image_shape((32, 32, 3)).generate(count, seed=0, verbose=0)


def _restore(width, height):
    import numpy as np

    import kgen

    model = kgen.models.ImageRestorer.from_preset("denoise_photo")
    restored = model.restore(np.zeros((height, width, 3), "uint8"), verbose=0)
    assert restored.shape == (height, width, 3)


def _map(width, height):
    import keras
    import numpy as np

    import kgen

    images = keras.Input((None, None, 3))
    network = keras.Model(images, keras.layers.Conv2D(3, 1)(images))
    model = kgen.models.ImageRestorer(kgen.layers.GaussianNoise(25), network=network)
    with tempfile.TemporaryDirectory() as folder:
        photo, out = (np.lib.format.open_memmap(f"{folder}/{name}", "w+", "uint8", (height, width, 3)) for name in "io")
        model.restore(photo, out=out, verbose=0)


CELLS = {
    "train": (_train, [(size, batch) for size in (32, 64, 128) for batch in (8, 32)]),
    "generate": (_generate, [(100, 0), (1000, 0), (10_000, 0)]),
    "restore": (_restore, [(1500, 1000), (6000, 4500), (12_000, 9000)]),
    "map": (_map, [(12_000, 600), (12_000, 2400), (12_000, 9000)]),
}


def _watch_memory_of_its_own(peak):
    while True:
        with open("/proc/self/status") as status:
            peak[0] = max(peak[0], next(int(line.split()[1]) / 1000 for line in status if line.startswith("RssAnon")))
        time.sleep(0.02)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=CELLS)
    parser.add_argument("cell", nargs="*", type=int)
    options = parser.parse_args()
    function, cells = CELLS[options.what]
    if options.cell:
        begin, own = time.time(), [0]
        threading.Thread(target=_watch_memory_of_its_own, args=(own,), daemon=True).start()
        function(*options.cell)
        peak = own[0] if options.what == "map" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        print(f"{options.what} {options.cell}: {peak:,.0f} MB, {time.time() - begin:.0f} s")
        return
    for cell in cells:
        subprocess.run([sys.executable, "-W", "ignore", __file__, options.what, *map(str, cell)], check=False)


if __name__ == "__main__":
    main()
