"""Links point to what is there; pages say all that there is. `zensical build --strict` checks the site's own links."""

import re
import tomllib

import pytest

import kgen
from tests.docs.pages import ROOT, SITE, TEXTS, text_of

HERE = "https://github.com/keras-kgen/keras-kgen"


def anchors_of(text):
    """What a heading is called in a link, as GitHub and the site make it of ASCII."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def links_of(text):
    text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    return [link.strip("<>") for link in re.findall(r"\]\(\s*([^)\s]+)\s*\)", text)]


@pytest.mark.parametrize("page", TEXTS)
def test_links_point_to_what_is_there(page):
    for link in links_of(text_of(page)):
        link = link.replace(f"{HERE}/blob/main/", f"{ROOT}/")
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target.read_text(encoding="utf-8")), link


def test_links_of_the_package_point_to_what_is_there():
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert {"Documentation", "Changelog"} <= set(project["urls"])
    for link in project["urls"].values():
        assert link.startswith(HERE)
        _, _, path = link.partition("/blob/main/")
        assert not path or (ROOT / path).is_file(), link


# === The site ===
SETTINGS = tomllib.loads(text_of("zensical.toml"))["project"]


def paths_in(nav):
    for entry in nav:
        for where in entry.values():
            yield from [where] if isinstance(where, str) else paths_in(where)


def test_every_page_is_in_the_navigation():
    assert sorted(f"docs/{path}" for path in paths_in(SETTINGS["nav"])) == SITE


def test_nothing_is_fetched_when_it_is_read():
    assert SETTINGS["theme"]["font"] is False and "extra_javascript" not in SETTINGS


def test_the_api_has_every_sub_package():
    told = {name for page in SITE for name in re.findall(r"^::: kgen\.(\w+)$", text_of(page), re.MULTILINE)}
    assert told == set(kgen.__all__)


def test_losses_are_all_there_with_equations():
    text = text_of("docs/losses.md")
    missing = [name for name in kgen.losses.__all__ if f"`{name}`" not in text and name != "get"]
    assert missing == []
    assert text.count("\n$$\n") % 2 == 0 and text.count("\n$$\n") > 40


def test_readme_is_short_and_gives_the_commands():
    text = text_of("README.md")
    assert text.count("\n") < 150
    assert 'pip install -e ".[demo]" && python examples/text_to_image.py\n' in text
    assert 'pip install -e ".[test]" && pytest -n auto --dist loadfile\n' in text
    assert "![" in text.partition("## ")[0]
