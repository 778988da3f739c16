"""Time of a training step, data included, beside Keras alone and PyTorch on the same work, on one core.

    python -m benchmarks.run                            # all works, float32 and bfloat16
    python -m benchmarks.run --work mlp --quick --json times.json

Each contender has a process of its own, pinned to one core, and they take turns, some seconds each. The median of the
turns counts, in processor time of the process, so that other work on the machine matters less. Compare the ratios: they
are to PyTorch as the tutorials write it. The data are random images, since the time does not depend on them.

The last columns say how much room is left: the FLOPs of a step, counted in PyTorch's loop, and what share kgen reaches
of the FLOP/s of a large matrix product on that core.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

CONTENDERS = ("PyTorch", "PyTorch, tuned", "Keras", "kgen")
WORKS = ("mlp", "dcgan_torch", "dcgan_keras", "wgan_gp", "vae")


# === In the process of a contender ===
def trainer(contender, name, bfloat16):
    """A function that makes so many steps, and how many it can make at most."""
    import numpy as np

    if contender.startswith("PyTorch"):
        # So that `works`, which imports Keras, does not load TensorFlow beside torch.
        os.environ["KERAS_BACKEND"] = "torch"
        import torch

        torch.set_num_threads(1)
    else:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        # TensorFlow has these kernels for convolutions on by itself only where the processor has AVX-512.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        import keras
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        keras.config.set_dtype_policy("mixed_bfloat16" if bfloat16 else "float32")
    from benchmarks.steps import works

    work = works.WORKS[name]
    most = 4096 // (work.batch * work.critic_steps)
    images = (most * work.batch * work.critic_steps, *work.shape)
    images = np.random.default_rng(0).integers(0, 256, images, "uint8")
    if contender.startswith("PyTorch"):
        from benchmarks.steps import with_torch

        return with_torch.trainer(name, images, bfloat16, tuned="tuned" in contender), most
    if contender == "Keras":
        from benchmarks.steps import with_keras

        return with_keras.trainer(name, images), most
    from benchmarks.steps import with_kgen

    return with_kgen.trainer(name, images), most


def serve(contender, name, bfloat16):
    """For each line, the number of seconds of a turn, prints the milliseconds of a step."""
    train, most = trainer(contender, name, bfloat16)
    for steps in (1, 2):
        train(steps)
    begin = time.process_time()
    train(2)
    one = (time.process_time() - begin) / 2
    print("ready", flush=True)
    for line in sys.stdin:
        steps = min(max(2, round(float(line) / one)), most)
        begin = time.process_time()
        train(steps)
        one = (time.process_time() - begin) / steps
        print(1000 * one, flush=True)


def count(name, bfloat16):
    """Prints the FLOPs of a step of PyTorch's loop, then the FLOP/s of a matrix product: the best of ten."""
    train, _ = trainer("PyTorch", name, bfloat16)
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counter(TorchDispatchMode):
        """PyTorch's own FlopCounterMode fails where a loop calls `torch.autograd.grad`."""

        total = 0

        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            result = operation(*args, **(kwargs or {}))
            if operation.overloadpacket in flop_registry:
                self.total += flop_registry[operation.overloadpacket](*args, **(kwargs or {}), out_val=result)
            return result

    with Counter() as counter:
        train(1)
    side = 1024
    a, b = (torch.randn(side, side, dtype=torch.bfloat16 if bfloat16 else torch.float32) for _ in range(2))
    seconds = []
    for _ in range(10):
        begin = time.process_time()
        torch.mm(a, b)
        seconds.append(time.process_time() - begin)
    print(counter.total, 2 * side**3 / min(seconds))


# === In turns ===
def command_for(contender, name, precision, options):
    """The command of a contender's own process."""
    command = [sys.executable, "-m", "benchmarks.run", "--alone", contender, "--work", name]
    return [*command, "--precision", precision, "--core", str(options.core)]


def measure(name, precision, options):
    """Milliseconds of a step in each turn, by contender; None for one that fails."""
    seconds, turns = (0.7, 3) if options.quick else (2.0, 7)
    processes = {}
    for contender in options.contenders:
        command = command_for(contender, name, precision, options)
        processes[contender] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # One after the other: what compiles would take the time of what is measured.
        processes[contender].stdout.readline()
    times = {contender: [] for contender in processes}
    # The first turn warms up.
    for turn in range(turns + 1):
        for contender, process in processes.items():
            if process.poll() is None:
                process.stdin.write(f"{seconds}\n")
                process.stdin.flush()
                answer = process.stdout.readline()
                if answer and turn:
                    times[contender].append(float(answer))
    for process in processes.values():
        process.stdin.close()
        process.wait()
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", nargs="*", choices=WORKS, default=WORKS)
    parser.add_argument("--precision", nargs="*", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    parser.add_argument("--contenders", nargs="*", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--quick", action="store_true", help="short turns: rough")
    parser.add_argument("--core", type=int, default=0, help="that all processes are pinned to")
    parser.add_argument("--json", help="file for the times of all turns")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        os.sched_setaffinity(0, {options.core})
        arguments = options.work[0], options.precision == ["bfloat16"]
        return count(*arguments) if options.alone == "count" else serve(options.alone, *arguments)
    rows = []
    print("| work | precision |", " | ".join(options.contenders), "| GFLOP | of a matrix product |")
    print("|-|-|" + "-|" * (len(options.contenders) + 2))
    for name in options.work:
        for precision in options.precision:
            command = command_for("count", name, precision, options)
            flops, ceiling = map(float, subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split())
            times = measure(name, precision, options)
            row = {"work": name, "precision": precision, "milliseconds": times}
            rows.append({**row, "flops": flops, "flops_per_second_of_product": ceiling})
            medians = {contender: statistics.median(values) for contender, values in times.items() if values}
            base = medians.get("PyTorch")
            shown = []
            for contender in options.contenders:
                median = medians.get(contender)
                ratio = f", {base / median:.2f}" if base and median else ""
                shown.append(f"{median:.1f} ms{ratio}" if median else "failed")
            share = f"{1000 * flops / medians['kgen'] / ceiling:.0%}" if medians.get("kgen") else ""
            print(f"| {name} | {precision} |", " | ".join([*shown, f"{flops / 1e9:.1f}", share]), "|", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
