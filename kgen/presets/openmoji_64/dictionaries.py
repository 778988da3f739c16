"""What two dictionaries say about things: the keywords of emoji in Unicode's CLDR, and the nouns of WordNet.

On Debian they are the packages `unicode-cldr-core` and `wordnet-base`.
"""

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

# What WordNet writes about words that insult or are vulgar.
INSULT = re.compile("slur|offensive|obscene|disparag|derogat|complimentary|vulgar|slang")
# The least cosine of a definition and what else is known of an emoji, and how far it may be below the best.
FITS, NEARLY = 0.25, 0.3


def keywords(directory, language):
    """`{emoji: "keyword, keyword, ..."}` by Unicode's CLDR."""
    found = ElementTree.parse(Path(directory) / f"{language}.xml").iterfind(".//annotation")
    # Annotations with a type are names to read aloud.
    words = {each.get("cp", ""): each.text or "" for each in found if each.get("type") is None}
    return {emoji.replace("\ufe0f", ""): text.replace(" | ", ", ") for emoji, text in words.items()}


def glosses(directory):
    """`{number: (noun, gloss)}` of the meanings in WordNet, with the first noun that has each."""
    found = {}
    for line in (Path(directory) / "data.noun").read_text("utf-8").splitlines():
        if not line.startswith("  "):  # its licence
            fields, gloss = line.split(" | ")
            number, *_, noun = fields.split()[:5]
            found[number] = noun.replace("_", " "), gloss.strip()
    return found


def definitions(directory):
    """`{noun: [definition, ...]}` by WordNet, the most frequent meaning first; without insults."""
    found, meanings = glosses(directory), {}
    for line in (Path(directory) / "index.noun").read_text("utf-8").splitlines():
        if not line.startswith("  "):
            noun, _, count, *fields = line.split()
            texts = [found[each][1].split(";")[0] for each in fields[-int(count) :]]
            meanings[noun.replace("_", " ")] = [text for text in texts if not INSULT.search(text)]
    return meanings


def definitions_of(texts, means, reader):
    """For each noun in texts its most frequent meaning that fits them nearly as well as the one that fits best."""
    found = {noun: means[noun] for noun in dict.fromkeys(map(str.lower, texts)) if means.get(noun)}
    if not found:
        return []
    english, every = ", ".join(text for text in texts if text.isascii()), [*itertools.chain(*found.values())]
    features = reader.encode([english, *every], cut=[], tokens=False, verbose=0)["pooled"]
    fits, chosen = dict(zip(every, features[1:] @ features[0])), []
    for each in found.values():
        best = max(map(fits.__getitem__, each))
        chosen += [next(text for text in each if fits[text] >= best - NEARLY)] if best > FITS else []
    return chosen
