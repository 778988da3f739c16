"""The card of each preset, and what hubs of models read at its head."""

from pathlib import Path

import pytest

import kgen
from kgen.presets import preset_description, preset_names

ROOT = Path(kgen.__file__).parent / "presets"
# What a preset is for, by its class.
TASKS = {
    "kgen>TextToImage": "text-to-image",
    "kgen>ImageRestorer": "image-to-image",
    "kgen>StyleTransfer": "image-to-image",
    "kgen>Autoencoder": "image-to-image",
    "kgen>TextEncoder": "feature-extraction",
}
# How a licence is called at the head and in the text.
LICENCES = {"apache-2.0": "Apache-2.0", "cc-by-4.0": "CC BY 4.0", "cc-by-sa-4.0": "CC BY-SA 4.0"}


def card_of(name):
    """The head of a card, as a dict, and its text."""
    yaml = pytest.importorskip("yaml")
    before, head, text = (ROOT / name / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert before == ""
    return yaml.safe_load(head), text


@pytest.mark.parametrize("name", preset_names())
def test_hubs_know_what_it_is(name):
    head, text = card_of(name)
    assert set(head) - {"language"} == {"license", "library_name", "pipeline_tag", "tags"}
    assert head["library_name"] == "kgen" and head["pipeline_tag"] == TASKS[preset_description(name)["class"]]
    assert "keras" in head["tags"] and len(head["tags"]) > 1 and all(isinstance(tag, str) for tag in head["tags"])
    assert LICENCES[head["license"]] in text
    # Who reads words says which.
    assert ("language" in head) == (head["pipeline_tag"] in ("text-to-image", "feature-extraction"))
    assert head.get("language", ["en"]) in (["en"], ["en", "zh"])


@pytest.mark.parametrize("name", preset_names())
def test_it_begins_with_its_name_and_shows_how_it_is_used(name):
    _, text = card_of(name)
    assert text.startswith(f"\n# {name}\n") and "```python\n" in text
