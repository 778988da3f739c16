"""Training and generating on whatever accelerator Keras' backend has: images a second, FLOP/s, memory.

    KERAS_BACKEND=jax python benchmarks/gpu.py                     # or tensorflow, or torch
    python benchmarks/gpu.py --work latents_256 --batch 64 256 --dtypes bfloat16 --seconds 10

Each row is a process of its own, so that one that runs out of memory ends no other. A step is one of `model.fit`, data
included; captions' features and images' latents are computed before. FLOPs are those that the backend counts in the
compiled step (JAX, TensorFlow) or in the kernels that it calls (torch); the ceiling is what a chain of square matrix
products reaches in the same type. Without an accelerator it runs small, on the CPU, and says so.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Or `peak_bytes_in_use` would be all there is.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

WORK = {"dcgan_64": 64, "pixels_128": 128, "pixels_256": 256, "latents_128": 128, "latents_256": 256}
HEAD = """| work | batch | type | step, ms | trained /s | generated /s | TFLOP/s | of the ceiling | GiB |
|-|-|-|-|-|-|-|-|-|"""
CAPTIONS = ["a red apple", "a black cat", "a blue car beside a house", "two happy dogs"]


# === What is timed ===
def network(work, size):
    """The model of a row, compiled."""
    import kgen

    side = WORK[work]
    if work.startswith("dcgan"):
        model = kgen.models.GAN.from_image_shape((side, side, 3), architecture="dcgan", size=size, seed=0)
    else:
        encoder = kgen.models.TextToImage.from_preset("openmoji_64").text_encoder
        space = kgen.spaces.LatentSpace("tiny_f8") if work.startswith("latents") else kgen.spaces.PixelSpace()
        model = kgen.models.TextToImage(encoder, (side, side, 3), space=space, size=size, seed=0)
    model.compile()
    return model


def examples(work, rows):
    """Arguments of `fit`: noise, which takes as long as anything else."""
    import numpy as np

    images = np.random.default_rng(0).integers(0, 256, (rows, WORK[work], WORK[work], 3), "uint8")
    return [images] if work.startswith("dcgan") else [images, [CAPTIONS[i % len(CAPTIONS)] for i in range(rows)]]


def noting_shapes(model, rows):
    """A list that gets, once, shapes and types of what the model's step is given, in batches of so many rows."""
    import keras

    found, train_step = [], model.train_step

    def noted(*args):
        if not found:
            type_of = keras.backend.standardize_dtype
            found.append(keras.tree.map_structure(lambda x: ((rows, *x.shape[1:]), type_of(x.dtype)), args[-1]))
        return train_step(*args)

    model.train_step = noted
    return found


def measured(options):
    """One row, as a dict."""
    import keras

    import kgen

    accelerator, name = device()
    keras.config.set_dtype_policy("float32" if options.dtypes[0] == "float32" else f"mixed_{options.dtypes[0]}")
    work, batch = options.work[0], options.batch[0]
    model = network(work, options.size)
    data = examples(work, 4 * batch)
    shapes = noting_shapes(model, batch)
    arguments = {"batch_size": batch, "verbose": 0}
    model.fit(*data, epochs=1, **arguments)

    def trained(epochs):
        start = time.perf_counter()
        model.fit(*data, epochs=epochs, **arguments)
        keras.ops.convert_to_numpy(model.optimizer.iterations)
        return time.perf_counter() - start

    # Once more to see how long an epoch takes, then for the seconds that were asked for.
    epochs = max(1, round(options.seconds / trained(1)))
    step = trained(epochs) / (4 * epochs)
    flops = step_flops(model, shapes[0])
    peak = peak_bytes()
    given = [batch] if work.startswith("dcgan") else [CAPTIONS[:1] * batch]
    model.generate(*given, seed=0, batch_size=batch, verbose=0)
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < options.seconds / 2:
        model.generate(*given, seed=calls, batch_size=batch, verbose=0)
        calls += 1
    generated = calls * batch / (time.perf_counter() - start)
    ceiling = matrix_products(options.dtypes[0], 8192 if accelerator else 1024)
    return {
        "work": work,
        "batch": batch,
        "dtype": options.dtypes[0],
        "device": name,
        "accelerator": accelerator,
        "backend": f"{keras.backend.backend()}, Keras {keras.__version__}, kgen {kgen.__version__}",
        "weights": model.generator.count_params(),
        "step_ms": 1000 * step,
        "trained_per_s": batch / step,
        "generated_per_s": generated,
        "step_gflop": flops / 1e9,
        "tflop_per_s": flops / step / 1e12,
        "ceiling_tflop_per_s": ceiling / 1e12,
        "share": flops / step / ceiling,
        "peak_gib": peak / 2**30,
    }


# === What differs between backends ===
def device():
    """`(whether it is an accelerator, its name)`."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        found = jax.devices()[0]
        return found.platform != "cpu", found.device_kind
    if backend == "torch":
        import torch

        return torch.cuda.is_available(), torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return bool(gpus), tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else "cpu"


def step_flops(model, shapes):
    """Floating-point operations of one training step."""
    import keras

    backend = keras.backend.backend()
    data = zeros(shapes)
    if backend == "jax":
        import jax

        groups = (model.trainable_variables, model.non_trainable_variables)
        groups = (*groups, model.optimizer.variables, model.metrics_variables)
        state = tuple([variable.value for variable in group] for group in groups)
        return jax.jit(type(model).train_step.__get__(model)).lower(state, data).compile().cost_analysis()["flops"]
    if backend == "torch":
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            type(model).train_step(model, data)
        return counter.get_total_flops()
    import tensorflow as tf

    graph = tf.function(type(model).train_step.__get__(model)).get_concrete_function(data).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops


def zeros(shapes):
    """A batch of zeros of these shapes and types."""
    import keras

    def is_leaf(x):
        return isinstance(x, tuple) and len(x) == 2 and isinstance(x[1], str)

    if is_leaf(shapes):
        return keras.ops.zeros(shapes[0], shapes[1])
    if isinstance(shapes, dict):
        return {name: zeros(each) for name, each in shapes.items()}
    return None if shapes is None else type(shapes)(map(zeros, shapes))


def peak_bytes():
    """The most memory that this process has held: of the accelerator, or of the machine."""
    import keras

    backend = keras.backend.backend()
    if not device()[0]:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if backend == "jax":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"]
    if backend == "torch":
        import torch

        return torch.cuda.max_memory_allocated()
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


def matrix_products(dtype, side, chain=10):
    """FLOP/s of products of two square matrices; the best of five chains."""
    import keras
    from keras import ops

    a, b = (keras.random.normal((side, side), stddev=side**-0.5, dtype=dtype, seed=i) for i in range(2))
    best = float("inf")
    for _ in range(5):
        start, x = time.perf_counter(), a
        for _ in range(chain):
            x = ops.matmul(x, b)
        ops.convert_to_numpy(ops.cast(x[0, 0], "float32"))
        best = min(best, time.perf_counter() - start)
    return chain * 2 * side**3 / best


# === The table ===
def row(work, batch, dtype, options):
    """What a process of its own measured, or its last words."""
    arguments = ["--one", "--work", work, "--batch", str(batch), "--dtypes", dtype]
    arguments += ["--seconds", str(options.seconds), "--size", options.size]
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return {"work": work, "batch": batch, "dtype": dtype, "error": said[:200]}
    return json.loads(lines[-1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--work", nargs="+", choices=WORK, help="by default all; without an accelerator the small ones")
    parser.add_argument("--batch", type=int, nargs="+", help="by default 64, 256 and 1024; on a CPU 8")
    parser.add_argument("--dtypes", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    parser.add_argument("--size", choices=["small", "medium", "large"], default="small", help="of the networks")
    parser.add_argument("--seconds", type=float, default=5.0, help="of training, in each row")
    parser.add_argument("--json", type=Path, help="also write the rows to this file, each as it is done")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--device", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.device:
        print(json.dumps(device()))
        return
    if options.one:
        print(json.dumps(measured(options)))
        return
    # In another process: this one is to hold no memory of the accelerator.
    asked = subprocess.run([sys.executable, __file__, "--device"], capture_output=True, text=True, check=True)
    accelerator, name = json.loads(asked.stdout.strip().splitlines()[-1])
    if not accelerator:
        print("No accelerator: small, on the CPU. These numbers say nothing about a GPU.\n")
    works = options.work or (list(WORK) if accelerator else ["dcgan_64", "latents_128"])
    batches = options.batch or ([64, 256, 1024] if accelerator else [8])
    rows = []
    for work in works:
        for batch in batches:
            for dtype in options.dtypes:
                rows.append(row(work, batch, dtype, options))
                found = rows[-1]
                if len(rows) == 1:
                    print(f"{name}, {found.get('backend', '')}, {options.size} networks\n")
                    print(HEAD)
                print(_line(found), flush=True)
                if options.json:
                    options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _line(found):
    named = f"| {found['work']} | {found['batch']} | {found['dtype']} |"
    if "error" in found:
        return f"{named} {found['error'].replace('|', ' ')} | | | | | |"
    numbers = (f"{found[key]:.4g}" for key in ("step_ms", "trained_per_s", "generated_per_s", "tflop_per_s"))
    return f"{named} {' | '.join(numbers)} | {found['share']:.0%} | {found['peak_gib']:.2f} |"


if __name__ == "__main__":
    main()
