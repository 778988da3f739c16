"""Tiny random text models of KerasHub's families, with vocabularies of their own."""

import functools
import io
import string

import keras_hub

models = keras_hub.models

LENGTH = 40
_HIDDEN = {"num_layers": 1, "hidden_dim": 16, "intermediate_dim": 32}
_HEADS = {**_HIDDEN, "num_heads": 2}
_ENCODER = {**_HEADS, "max_sequence_length": LENGTH}
_GROUPED = {**_HIDDEN, "num_query_heads": 2, "num_key_value_heads": 1}


# === Tokenizers ===
def byte_pairs(*special_tokens, ends=False):
    """`vocabulary` and `merges` of letters and a few words; with `ends`, of CLIP's kind."""
    letters = [*string.ascii_letters, *string.digits, *string.punctuation, "Ġ", "Ċ"]
    if ends:
        letters += [f"{letter}</w>" for letter in letters]
    merges = ["c a", "r e"]
    vocabulary = dict.fromkeys([*special_tokens, *letters, "ca", "re"])
    return {"vocabulary": {token: i for i, token in enumerate(vocabulary)}, "merges": merges}


@functools.cache
def sentence_pieces(*symbols, start="<s>", end="</s>", pad="<pad>", unknown="<unk>"):
    """A SentencePiece model of letters."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a large red circle above two black cats", string.ascii_letters + string.punctuation]),
        model_writer=model,
        model_type="char",
        vocab_size=100,
        hard_vocab_limit=False,
        character_coverage=1.0,
        **{"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3},
        **{"pad_piece": pad, "eos_piece": end, "bos_piece": start, "unk_piece": unknown},
        user_defined_symbols=list(symbols),
        minloglevel=2,
    )
    return model.getvalue()


def word_pieces():
    letters = string.ascii_lowercase + string.punctuation
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]


def _of_family(family, tokenizer, backbone, **sizes):
    """`(backbone, preprocessor)` for texts to be classified."""
    return (
        getattr(models, f"{family}Backbone")(tokenizer.vocabulary_size(), **sizes) if backbone is None else backbone,
        getattr(models, f"{family}TextClassifierPreprocessor")(tokenizer, sequence_length=LENGTH),
    )


# === Encoders ===
def bert_like(family, **sizes):
    tokenizer = getattr(models, f"{family}Tokenizer")(word_pieces(), lowercase=True)
    return _of_family(family, tokenizer, None, **{**_ENCODER, **sizes})


def roformer():
    tokenizer = models.RoformerV2Tokenizer(word_pieces(), lowercase=True)
    return _of_family("RoformerV2", tokenizer, None, head_size=8, **_HEADS)


def electra():
    tokenizer = models.ElectraTokenizer(word_pieces(), lowercase=True)
    backbone = models.ElectraBackbone(tokenizer.vocabulary_size(), embedding_dim=8, **_ENCODER)
    return _of_family("Bert", tokenizer, backbone)


def albert():
    tokenizer = models.AlbertTokenizer(proto=sentence_pieces("[CLS]", "[SEP]", "[MASK]"))
    return _of_family("Albert", tokenizer, None, embedding_dim=8, **_ENCODER)


def f_net():
    tokenizer = models.FNetTokenizer(proto=sentence_pieces("[CLS]", "[SEP]", "[MASK]"))
    return _of_family("FNet", tokenizer, None, **_HIDDEN, max_sequence_length=LENGTH)


def deberta():
    proto = sentence_pieces("[MASK]", start="[CLS]", end="[SEP]", pad="[PAD]", unknown="[UNK]")
    return _of_family("DebertaV3", models.DebertaV3Tokenizer(proto=proto), None, **_ENCODER, bucket_size=8)


def roberta():
    tokenizer = models.RobertaTokenizer(**byte_pairs("<s>", "<pad>", "</s>", "<mask>"))
    return _of_family("Roberta", tokenizer, None, **_ENCODER)


def xlm_roberta():
    tokenizer = models.XLMRobertaTokenizer(proto=sentence_pieces())
    return models.XLMRobertaTextEmbedder(
        models.XLMRobertaBackbone(tokenizer.vocabulary_size(), **_ENCODER),
        models.XLMRobertaTextEmbedderPreprocessor(tokenizer, sequence_length=LENGTH),
    )


def clip():
    tokenizer = models.CLIPTokenizer(**byte_pairs("<|startoftext|>", "<|endoftext|>", ends=True))
    backbone = models.CLIPTextEncoder(tokenizer.vocabulary_size(), embedding_dim=16, **_ENCODER)
    return backbone, models.CLIPPreprocessor(tokenizer, sequence_length=LENGTH)


def meta_clip():
    tokenizer = models.MetaCLIP2Tokenizer(proto=sentence_pieces())
    backbone = models.MetaCLIP2TextEncoder(tokenizer.vocabulary_size(), embedding_dim=16, **_ENCODER)
    return backbone, models.MetaCLIP2CausalLMPreprocessor(tokenizer, sequence_length=LENGTH)


# === Embedders of decoders ===
def _gemma_3(**kwargs):
    symbols = ["<start_of_image>", "<end_of_image>", "<img>", "[multimodal]", "<start_of_turn>", "<end_of_turn>"]
    tokenizer = models.Gemma3Tokenizer(proto=sentence_pieces(*symbols, start="<bos>", end="<eos>"))
    sizes = {**_GROUPED, "head_dim": 8, "image_size": 16, **kwargs}
    return tokenizer, models.Gemma3Backbone(tokenizer.vocabulary_size(), **sizes)


def gemma_3_embedder(**kwargs):
    tokenizer, backbone = _gemma_3(**kwargs)
    preprocessor = models.Gemma3TextEmbedderPreprocessor(tokenizer, sequence_length=LENGTH)
    return models.Gemma3TextEmbedder(backbone, preprocessor)


def embedding_gemma():
    return gemma_3_embedder(is_embedding_model=True, pooling_intermediate_dim=24, embedding_dim=12)


def qwen_3_embedder():
    tokenizer = models.Qwen3Tokenizer(**byte_pairs("<|endoftext|>", "<|im_end|>"))
    backbone = models.Qwen3Backbone(tokenizer.vocabulary_size(), **_GROUPED, head_dim=8)
    preprocessor = models.Qwen3TextEmbedderPreprocessor(tokenizer, sequence_length=LENGTH)
    return models.Qwen3TextEmbedder(backbone, preprocessor)


# === Language models ===
def causal(family, *special_tokens, proto=None, **sizes):
    """A `CausalLM` of a family, over SentencePiece where `proto` is given, else over byte pairs."""
    tokenizer_class = getattr(models, f"{family}Tokenizer")
    tokenizer = tokenizer_class(proto=proto) if proto else tokenizer_class(**byte_pairs(*special_tokens))
    backbone = getattr(models, f"{family}Backbone")(vocabulary_size=tokenizer.vocabulary_size(), **sizes)
    preprocessor = getattr(models, f"{family}CausalLMPreprocessor")(tokenizer, sequence_length=64)
    return getattr(models, f"{family}CausalLM")(backbone=backbone, preprocessor=preprocessor)


def gemma_3():
    tokenizer, backbone = _gemma_3()
    preprocessor = models.Gemma3CausalLMPreprocessor(tokenizer, image_converter=None, sequence_length=64)
    return models.Gemma3CausalLM(backbone=backbone, preprocessor=preprocessor)


def gpt_2(length=64):
    return causal("GPT2", "<|endoftext|>", **_HEADS, max_sequence_length=length)


_GEMMA = {**_GROUPED, "head_dim": 8}
_SMOL = {
    **_HIDDEN,
    **{"num_attention_heads": 2, "num_key_value_heads": 1, "attention_bias": False, "attention_dropout": 0.0},
    **{"rope_layer_enabled_list": [True], "layer_types": ["full_attention"], "mlp_bias": False},
    **{"layer_norm_epsilon": 1e-5, "max_position_embeddings": 64, "rope_theta": 1e4, "partial_rotary_factor": 1.0},
}
_LLAMA_3 = [
    *("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"),
    *("<|start_header_id|>", "<|end_header_id|>"),
]
_SMOL_TOKENS = ["<|end_of_text|>", "<|im_end|>", "<|begin_of_text|>", "<think>", "</think>"]

ENCODERS = {
    "bert": lambda: bert_like("Bert"),
    "distil_bert": lambda: bert_like("DistilBert"),
    "electra": electra,
    "roformer_v2": roformer,
    "albert": albert,
    "f_net": f_net,
    "deberta_v3": deberta,
    "roberta": roberta,
    "xlm_roberta": xlm_roberta,
    "clip": clip,
    "metaclip_2": meta_clip,
    "gemma3_embedder": gemma_3_embedder,
    "embedding_gemma": embedding_gemma,
    "qwen3_embedder": qwen_3_embedder,
}
LANGUAGE_MODELS = {
    "gpt2": gpt_2,
    "gpt_neo_x": lambda: causal("GPTNeoX", "<|endoftext|>", **_HEADS),
    "opt": lambda: causal("OPT", "<pad>", "</s>", **_HEADS, max_sequence_length=64),
    "bloom": lambda: causal("Bloom", "<unk>", "<s>", "</s>", "<pad>", **_HEADS),
    "falcon": lambda: causal("Falcon", "<|endoftext|>", **_HIDDEN, num_attention_heads=2),
    "gemma": lambda: causal("Gemma", proto=sentence_pieces(start="<bos>", end="<eos>"), **_GEMMA),
    "gemma3": gemma_3,
    "llama": lambda: causal("Llama", proto=sentence_pieces(), **_GROUPED),
    "llama3": lambda: causal("Llama3", *_LLAMA_3, **_GROUPED),
    "mistral": lambda: causal("Mistral", proto=sentence_pieces(), **_GROUPED),
    "phi3": lambda: causal("Phi3", proto=sentence_pieces(end="<|endoftext|>"), **_GROUPED),
    "qwen": lambda: causal("Qwen", "<|endoftext|>", "<|im_end|>", **_GROUPED),
    "qwen3": lambda: causal("Qwen3", "<|endoftext|>", "<|im_end|>", **_GROUPED, head_dim=8),
    "smollm3": lambda: causal("SmolLM3", *_SMOL_TOKENS, **_SMOL),
}
