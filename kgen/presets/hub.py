"""Presets elsewhere: on Hugging Face, on Kaggle, or at a URL."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from pathlib import Path
from typing import Any, TypeGuard

# The task under which a hub lists each class.
_TASKS = {
    "Autoencoder": "image-to-image",
    "CycleGAN": "image-to-image",
    "DualEncoder": "zero-shot-image-classification",
    "GAN": "unconditional-image-generation",
    "ImageClassifier": "image-classification",
    "ImageRestorer": "image-to-image",
    "ImageSegmenter": "image-segmentation",
    "StyleTransfer": "image-to-image",
    "TextEncoder": "feature-extraction",
    "TextToImage": "text-to-image",
    "VAE": "unconditional-image-generation",
}
_FORMS = "hf://owner/name, kaggle://owner/model/keras/variation, or the URL of a .zip or .tar.gz file"
_HUGGING_FACE = re.compile(r"hf://([^/@]+/[^/@]+)(?:@(.+))?")
_KAGGLE = re.compile(r"kaggle://([^/]+/[^/]+/[^/]+/[^/]+(?:/\d+)?)")
_URL = re.compile(r"(?:https?|file)://.+")


def is_address(name: Any) -> TypeGuard[str]:
    """Whether a name is an address, such as hf://owner/name: neither one of kgen's own presets nor a path."""
    return isinstance(name, str) and "://" in name


def fetched(address: str) -> Path:
    """The directory of the preset at an address; downloads are kept on this machine.

    Args:
        address: `hf://owner/name` or `hf://owner/name@revision`; `kaggle://owner/model/keras/variation`, optionally
            followed by `/version`; or the URL of an archive of the preset's directory.

    Raises:
        ImportError: if huggingface_hub or kagglehub is not installed.
        ValueError: for any other address, or if nothing can be fetched from there.
    """
    try:
        if match := _HUGGING_FACE.fullmatch(address):
            return Path(_package("huggingface_hub").snapshot_download(match[1], revision=match[2]))
        if match := _KAGGLE.fullmatch(address):
            return Path(_package("kagglehub").model_download(match[1]))
        if _URL.fullmatch(address):
            return _extracted(address)
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(f"from_preset: cannot fetch {address}: {type(error).__name__}: {error}") from error
    raise ValueError(f"from_preset: an address must be {_FORMS}; got {address!r}.")


def upload_preset(address: str, directory: Any) -> None:
    """Uploads a preset's directory to Hugging Face or Kaggle, where others can load it by `from_preset(address)`.

    On Hugging Face the repository is created if necessary, and gets a card, `README.md`, if the directory has none. Log
    in first: `hf auth login`, or `kagglehub.login()`.

    Args:
        address: `hf://owner/name` or `kaggle://owner/model/keras/variation`.
        directory: a directory that `save_to_preset` wrote.

    Raises:
        ImportError: if huggingface_hub or kagglehub is not installed.
        ValueError: for any other address, or a directory without a preset.

    Example:

    ```python
    model.save_to_preset("cat")
    kgen.presets.upload_preset("hf://me/cat", "cat")        # TextToImage.from_preset("hf://me/cat")
    ```
    """
    from kgen.presets.preset import preset_description

    description = preset_description(directory)
    if (match := _HUGGING_FACE.fullmatch(address)) and not match[2]:
        hub = _package("huggingface_hub")
        hub.create_repo(match[1], exist_ok=True)
        if not (Path(directory) / "README.md").is_file():
            card = _card(address, description).encode()
            hub.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=match[1])
        hub.upload_folder(repo_id=match[1], folder_path=str(directory))
    elif match := _KAGGLE.fullmatch(address):
        _package("kagglehub").model_upload(match[1], str(directory))
    else:
        raise ValueError(
            f"upload_preset: address must be hf://owner/name or kaggle://owner/model/keras/variation; got {address!r}."
        )


def _package(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"presets at hf:// and kaggle:// need {name}: pip install {name}") from error


def _extracted(url):
    import keras

    # A separate name for each address, so that another cat.zip is not mistaken for this one.
    name = f"kgen-preset-{hashlib.sha256(url.encode()).hexdigest()[:16]}"
    folder = Path(keras.utils.get_file(name, url, extract=True, cache_subdir="kgen"))
    found = sorted(folder.rglob("preset.json"))
    if len(found) != 1:
        raise ValueError(f"the archive contains {len(found)} files preset.json, not one")
    return found[0].parent


def _card(address, description):
    """A card: the header that model hubs read, and how to use the preset."""
    name = description["class"].split(">")[-1]
    facts = {"library_name": "keras", "pipeline_tag": _TASKS.get(name), "tags": ["kgen", "keras"]}
    front = "\n".join(f"{key}: {json.dumps(value)}" for key, value in facts.items() if value)
    use = f'import kgen\n\nmodel = kgen.models.{name}.from_preset("{address}")'
    if name == "TextEncoder":
        use = f'import kgen\n\nencoder = kgen.presets.load_preset("{address}")'
    says = f"A `{name}` of kgen with {description['parameters']:,} parameters."
    return f"---\n{front}\n---\n\n# {address.rsplit('/', 1)[-1]}\n\n{says}\n\n```python\n{use}\n```\n"
