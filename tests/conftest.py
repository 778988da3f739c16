"""What every test gets: quiet libraries, seeds of its own, a skip where its backend is another, and trained models."""

import functools
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Tests compile often and compute little: on JAX they ask what is right, not what is fast.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Or a GPU multiplies float32 with 10 bits.
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
if "PYTEST_XDIST_WORKER" in os.environ:
    # There are as many processes as cores: more threads would wait for each other.
    for threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(threads, "1")


import keras  # noqa: E402
import pytest  # noqa: E402

PROCESSOR_TIME = pytest.StashKey[float]()
SLOW_TESTS = Path(__file__).with_name("slow_tests.txt")
# Seconds that a test may take in CI without the mark `slow`, by the clock and of the processor: either alone also grows
# with what else the machine does, or with the number of its cores.
LIMIT = 20


# === Slow tests ===
@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items):
    """Marks what slow_tests.txt lists: tests, with all parameters or with some, files, and folders."""
    listed = set(SLOW_TESTS.read_text(encoding="utf-8").split("\n"))
    for item in items:
        file = Path(item.nodeid.split("::")[0])
        if not listed.isdisjoint({item.nodeid, item.nodeid.split("[")[0], *map(Path.as_posix, [file, *file.parents])}):
            item.add_marker(pytest.mark.slow)


def pytest_runtest_setup(item):
    """Slow tests are skipped after a deadline, in seconds since 1970, as a run of CI that takes too long is lost."""
    deadline = float(os.environ.get("KGEN_DEADLINE", "inf"))
    if time.time() > deadline and item.get_closest_marker("slow"):
        pytest.skip("no time is left: KGEN_DEADLINE has passed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a test that takes too long without the mark fails, on the backend that all tests run on."""
    report = yield
    now = time.process_time()
    taken = min(call.duration, now - item.config.stash.get(PROCESSOR_TIME, 0.0))
    item.config.stash[PROCESSOR_TIME] = now
    watched = os.environ.get("CI") and keras.backend.backend() == "tensorflow"
    if watched and report.passed and taken > LIMIT and not item.get_closest_marker("slow"):
        report.outcome = "failed"
        report.longrepr = f"{call.when} took {taken:.0f} s. Make it faster, or mark the test slow."
    return report


# === Fixtures ===
@pytest.fixture(autouse=True)
def seeds():
    """Every test draws the same random numbers, alone or among others."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session", autouse=True)
def vocabularies():
    """A vocabulary is learned once from the same captions: that takes longer than to make the rest of a tiny model."""
    from kgen.text import caption_encoder

    learn = caption_encoder._vocabulary
    learned = functools.cache(lambda captions, size: learn(list(captions), size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caption_encoder, "_vocabulary", lambda captions, size: list(learned(tuple(captions), size)))
        yield


@pytest.fixture
def tensorflow_backend():
    """Skips a test of what only TensorFlow has: tf.distribute, tapes, XLA's flags."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("needs KERAS_BACKEND=tensorflow")


# Files of models that count as trained, for tests that only need one: load them, and leave the files as they are.
@pytest.fixture(scope="session")
def trained_gan(tmp_path_factory):
    """File of a GAN of `tests.models.tiny` that was trained for two steps."""
    from tests.models import tiny

    return _trained(tiny.gan, (tiny.pictures(),), tmp_path_factory)


@pytest.fixture(scope="session")
def trained_vae(tmp_path_factory):
    """File of a VAE of `tests.models.tiny` that was trained for two steps."""
    from tests.models import tiny

    return _trained(tiny.vae, (tiny.pictures(),), tmp_path_factory)


@pytest.fixture(scope="session")
def trained_text_to_image(tmp_path_factory):
    """File of a TextToImage of `tests.models.tiny_text` that was trained for two steps."""
    pytest.importorskip("tensorflow_text")
    from tests.models import tiny_text

    return _trained(tiny_text.model, tiny_text.pictures(), tmp_path_factory)


def _trained(make, data, tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = make()
    model.compile()
    model.fit(*data, batch_size=8, verbose=0)
    file = tmp_path_factory.mktemp("trained") / "model.keras"
    model.save(file)
    return file
