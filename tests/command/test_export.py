from pathlib import Path

import numpy as np

from kgen.export import FORMATS


def test_a_saved_model(done, failed, trained_gan, tensorflow_backend):
    import tensorflow as tf

    result = done("export", trained_gan, "served/1")
    assert result["files"] == ["served/1"] and result["run_file"] == "served/1.run.json"
    serve = tf.saved_model.load("served/1").signatures["serving_default"]
    images = serve(seeds=tf.constant([0, 1]))["images"].numpy()
    assert images.shape == (2, 8, 8, 3) and images.dtype == np.uint8
    assert "'served/1' already exists" in failed(1, "export", trained_gan, "served/1")
    done("export", trained_gan, "served/1", "--overwrite")


def test_it_offers_every_format(kgen):
    usage = kgen("export", "--help")[1]
    assert "{" + ",".join(FORMATS) + "}" in usage.replace("\n", "").replace(" ", "")


def test_bad_input(failed, trained_gan):
    assert "is a TextEncoder, which has no export of its own" in failed(2, "export", "tiny_minilm_en_zh", "encoder")
    assert "the path is empty" in failed(2, "export", trained_gan, "")
    assert "invalid choice: 'floppy'" in failed(2, "export", trained_gan, "served", "--format", "floppy")
    assert "there is no model 'none'" in failed(2, "export", "none", "served")


def test_a_wrong_ending_is_told_before_the_model_is_read(failed):
    Path("model.keras").write_text("no model")
    assert "format='onnx'" in failed(2, "export", "model.keras", "served.onnx")
    assert "must end in .tflite" in failed(2, "export", "model.keras", "served", "--format", "litert")
