"""The speed of kgen.metrics and of published implementations, on the same features in one run.

    taskset -c 0 python benchmarks/metrics.py

Needs clean-fid, torch-fidelity and prdc (`pip install -e ".[test]"`); each runs in its own process, on the same
processor. Prints a table in Markdown: medians of several runs, and the ratio.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

PEERS = {
    "Frechet distance from moments": ("clean-fid", "cleanfid.fid:frechet_distance", False, {}),
    "kernel distance, 100 subsets of 1,000": (
        "torch-fidelity",
        "torch_fidelity.metric_kid:kid_features_to_metric",
        True,
        {"kid_subsets": 100, "kid_subset_size": 1000, "verbose": False},
    ),
    "precision and recall": (
        "torch-fidelity",
        "torch_fidelity.metric_prc:prc_features_to_metric",
        True,
        {"prc_neighborhood": 3, "prc_batch_size": 10_000, "save_cpu_ram": False, "verbose": False},
    ),
    "precision, recall, density, coverage": ("prdc", "prdc:compute_prdc", False, {"nearest_k": 5}),
}
PEER = """
import importlib, json, os, sys, time
import numpy as np
name, as_tensors, options, repeats, file = json.loads(sys.argv[1])
module, function = name.split(":")
function = getattr(importlib.import_module(module), function)
arguments = [np.load(file)[key] for key in sorted(np.load(file).files)]
if as_tensors:
    import torch
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    arguments = [torch.from_numpy(x) for x in arguments]
seconds = []
for _ in range(repeats):
    start = time.perf_counter()
    function(*arguments, **options)
    seconds.append(time.perf_counter() - start)
print(json.dumps(seconds))
"""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--count", type=int, default=5000, help="real images, and as many generated ones")
    options = parser.parse_args()

    from kgen.metrics import FrechetDistance, frechet_distance
    from kgen.metrics.kernel_distance import KernelDistance
    from kgen.metrics.nearest_neighbors import density_coverage, precision_recall

    random = np.random.default_rng(0)
    real, generated = (
        np.maximum(random.normal(size=(options.count, options.dim)) + shift, 0).astype("float32") for shift in (0, 0.1)
    )
    metric = FrechetDistance()
    metric.build(options.dim)
    seconds = timed(lambda: metric.real.update(real), options.repeats)
    print(f"statistics of {options.count} x {options.dim} features: {seconds:.2f} s\n")
    metric.reset_state()
    metric.update_state(real, generated)
    moments = [metric.real.read(), metric.generated.read()]
    parts = [part for each in moments for part in (each.mean, each.covariance)]
    kernel = KernelDistance(max_samples=options.count)
    few = [x[:2000] for x in (real, generated)]
    ours = {
        "Frechet distance from moments": (lambda: frechet_distance(*parts), parts),
        "kernel distance, 100 subsets of 1,000": (lambda: kernel.compare(real, generated), [real, generated]),
        "precision and recall": (lambda: precision_recall(*few), few[::-1]),
        "precision, recall, density, coverage": (
            lambda: (precision_recall(*few, neighbors=5), density_coverage(*few, neighbors=5)),
            few,
        ),
    }
    print("| measure | kgen | peer | ratio |\n|-|-|-|-|")
    for name, (function, arguments) in ours.items():
        seconds = timed(function, options.repeats)
        peer, theirs = PEERS[name][0], peer_seconds(PEERS[name], arguments, options.repeats)
        print(f"| {name} | {seconds:.2f} s | {theirs:.2f} s ({peer}) | {theirs / seconds:.1f} |", flush=True)
    print(f"\n{extractor_speed(options.repeats):.0f} images of 64 px a second in the features of EfficientNet-Lite0")


def timed(function, repeats):
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def peer_seconds(peer, arguments, repeats):
    _, function, as_tensors, options = peer
    with tempfile.TemporaryDirectory() as directory:
        file = str(Path(directory) / "arguments.npz")
        np.savez(file, **{f"{i:02d}": argument for i, argument in enumerate(arguments)})
        request = json.dumps([function, as_tensors, options, repeats, file])
        command = [sys.executable, "-W", "ignore", "-c", PEER, request]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return statistics.median(json.loads(answer.strip().splitlines()[-1]))


def extractor_speed(repeats):
    from kgen.metrics import FeatureExtractor

    extractor = FeatureExtractor.of("efficientnet_lite0")
    images = np.random.default_rng(0).integers(0, 256, (256, 64, 64, 3), "uint8")
    extractor.extract(images, verbose=0)
    return len(images) / timed(lambda: extractor.extract(images, verbose=0), repeats)


if __name__ == "__main__":
    main()
