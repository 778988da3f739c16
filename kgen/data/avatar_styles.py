"""The words for the parts of an avatar, in English and Chinese, by style."""

from __future__ import annotations

from typing import Any, NamedTuple


class Choice(NamedTuple):
    """A value of an attribute: its name in DiceBear (None: the part is left out), and its words in captions.

    `{color}` in the words is replaced by the colour of the part. Captions never mention a choice without words, nor the
    attribute that a choice `hides`.
    """

    drawn: str | None
    english: str = ""
    chinese: str = ""
    hides: str | None = None


class Attribute(NamedTuple):
    """An attribute of an avatar.

    Args:
        choices: a dict from a value, named as in the data's `attributes`, to a `Choice`; all are equally likely.
        options: the options of DiceBear that are set to the choice.
        color: the attribute that holds the colour of this one, if a choice has a colour.
    """

    choices: dict[Any, Choice]
    options: tuple[str, ...]
    color: str | None = None


class AvatarStyle(NamedTuple):
    """A style of DiceBear.

    Args:
        file: its definition in `dicebear-styles`.
        attributes: by name, in the order in which captions mention them.
        left_out: share of avatars without the attribute, for attributes with a choice None.
        fixed: other options of DiceBear.
        held_out: pairs `((attribute, value), (attribute, value))` that no training image shows together.
    """

    file: str
    attributes: dict[str, Attribute]
    left_out: dict[str, float]
    fixed: dict[str, object]
    held_out: tuple[tuple[tuple[str, str], tuple[str, str]], ...]


_SKINS = {"pale": ("pale", "白皙"), "tan": ("tanned", "小麦色"), "brown": ("brown", "棕色"), "dark": ("dark", "深色")}


def _skin(pale: str, tan: str, brown: str, dark: str) -> Attribute:
    colors = zip(_SKINS.items(), (pale, tan, brown, dark))
    choices = {name: Choice(drawn, f"{words[0]} skin", f"{words[1]}皮肤") for (name, words), drawn in colors}
    return Attribute(choices, ("skinColor",))


def _colors(options: tuple[str, ...], **choices: tuple[str, str]) -> Attribute:
    return Attribute({name: Choice(drawn, name, chinese) for name, (drawn, chinese) in choices.items()}, options)


_PERSONAS = AvatarStyle(
    "personas",
    {
        "skin": _skin("#f4d0c4", "#d78774", "#92594b", "#5a3830"),
        "hair_color": _colors(
            ("hairColor", "facialHairColor"),
            black=("#362c47", "黑色"),
            brown=("#7a4a3a", "棕色"),
            blond=("#f2cf74", "金色"),
            red=("#d9502e", "红色"),
            white=("#dee1f5", "白色"),
            pink=("#f08fb5", "粉色"),
        ),
        "hair": Attribute(
            {
                "bald": Choice("bald", "a bald head", "光头"),
                "beanie": Choice("beanie", "a beanie", "戴着毛线帽"),
                "cap": Choice("cap", "a cap", "戴着鸭舌帽"),
                "balding": Choice("balding", "{color} hair at the sides only", "两侧有{color}头发的秃顶"),
                "bob": Choice("bobCut", "a {color} bob", "{color}波波头"),
                "fringe": Choice("bobBangs", "a {color} bob with a side fringe", "{color}斜刘海短发"),
                "topknot": Choice("bunUndercut", "a {color} topknot", "{color}丸子头"),
                "buzz cut": Choice("buzzcut", "a {color} buzz cut", "{color}寸头"),
                "afro": Choice("curly", "a {color} afro", "{color}爆炸头"),
                "curly bun": Choice("curlyBun", "a curly {color} bun", "{color}卷发髻"),
                "short curls": Choice("curlyHighTop", "short {color} curls", "{color}短卷发"),
                "very long hair": Choice("extraLong", "very long {color} hair", "{color}超长发"),
                "long hair": Choice("long", "long {color} hair", "{color}长发"),
                "quiff": Choice("fade", "a {color} quiff", "{color}飞机头"),
                "mohawk": Choice("mohawk", "a {color} mohawk", "{color}莫西干头"),
                "pigtails": Choice("pigtails", "{color} pigtails", "{color}双马尾"),
                "side parting": Choice("shortCombover", "short {color} hair with a side parting", "{color}偏分短发"),
                "sideburns": Choice("shortComboverChops", "short {color} hair with sideburns", "{color}带鬓角的短发"),
                "side shave": Choice("sideShave", "{color} hair shaved at one side", "一侧剃短的{color}头发"),
                "bun": Choice("straightBun", "a {color} bun", "{color}发髻"),
            },
            ("hairVariant",),
            "hair_color",
        ),
        "eyes": Attribute(
            {
                "open": Choice("open"),
                "happy": Choice("happy", "laughing eyes", "笑眯眯的眼睛"),
                "closed": Choice("sleep", "closed eyes", "闭着眼睛"),
                "wink": Choice("wink", "a wink", "眨着一只眼"),
                "glasses": Choice("glasses", "glasses", "戴着眼镜"),
                "sunglasses": Choice("sunglasses", "sunglasses", "戴着墨镜"),
            },
            ("eyesVariant",),
        ),
        "mouth": Attribute(
            {
                "big smile": Choice("bigSmile", "a big smile", "露齿大笑"),
                "frown": Choice("frown", "a frown", "撇着嘴"),
                "lips": Choice("lips", "pink lips", "粉色嘴唇"),
                "pacifier": Choice("pacifier", "a pacifier", "含着奶嘴"),
                "smile": Choice("smile", "a smile", "微笑"),
                "smirk": Choice("smirk", "a smirk", "坏笑"),
                "open mouth": Choice("surprise", "an open mouth", "张着嘴"),
            },
            ("mouthVariant",),
        ),
        "beard": Attribute(
            {
                None: Choice(None),
                "full beard": Choice("beardMustache", "a full beard", "大胡子"),
                "goatee": Choice("goatee", "a goatee", "山羊胡"),
                "moustache": Choice("pyramid", "a moustache", "小胡子"),
                "walrus moustache": Choice("walrus", "a walrus moustache", "海象胡", "mouth"),
                "stubble": Choice("shadow", "stubble", "胡茬"),
            },
            ("facialHairVariant",),
        ),
        "clothes_color": _colors(
            ("clothingColor",),
            blue=("#456dff", "蓝色"),
            green=("#6dbb58", "绿色"),
            pink=("#f58fb0", "粉色"),
            purple=("#7555ca", "紫色"),
            red=("#e23445", "红色"),
            turquoise=("#54d7c7", "青绿色"),
            yellow=("#f3c63a", "黄色"),
        ),
        "clothes": Attribute(
            {
                "checked shirt": Choice("checkered", "a {color} checked shirt", "穿着{color}格子衬衫"),
                "sweater": Choice("rounded", "a {color} sweater", "穿着{color}毛衣"),
                "wrap top": Choice("small", "a {color} wrap top", "穿着{color}开襟上衣"),
            },
            ("clothesVariant",),
            "clothes_color",
        ),
    },
    {"beard": 0.7},
    {"noseVariant": ["mediumRound", "smallRound"]},
    (
        (("hair", "mohawk"), ("eyes", "sunglasses")),
        (("hair", "pigtails"), ("eyes", "sunglasses")),
        (("hair", "afro"), ("mouth", "pacifier")),
        (("hair_color", "red"), ("clothes_color", "green")),
        (("hair", "bun"), ("clothes_color", "yellow")),
    ),
)
_BIG_SMILE = AvatarStyle(
    "big-smile",
    {
        "skin": _skin("#ffe4c0", "#e2ba87", "#a47539", "#643d19"),
        "hair_color": _colors(
            ("hairColor",),
            black=("#220f00", "黑色"),
            brown=("#71472d", "棕色"),
            blond=("#e9c46a", "金色"),
            orange=("#d56c0c", "橙色"),
            blue=("#605de4", "蓝色"),
            green=("#238d80", "绿色"),
        ),
        "hair": Attribute(
            {
                "fringe": Choice("bangs", "long {color} hair with a fringe", "{color}齐刘海长发"),
                "bowl cut": Choice("bowlCutHair", "a {color} bowl cut", "{color}蘑菇头"),
                "braids": Choice("braids", "{color} braids", "{color}辫子"),
                "bun": Choice("bunHair", "a {color} bun", "{color}发髻"),
                "curly bob": Choice("curlyBob", "a curly {color} bob", "{color}卷波波头"),
                "short curls": Choice("curlyShortHair", "short {color} curls", "{color}短卷发"),
                "afro bun": Choice("froBun", "a {color} afro bun", "{color}爆炸丸子头"),
                "half shaved": Choice("halfShavedHead", "{color} hair shaved at one side", "一侧剃短的{color}头发"),
                "mohawk": Choice("mohawk", "a {color} mohawk", "{color}莫西干头"),
                "buzz cut": Choice("shavedHead", "a {color} buzz cut", "{color}寸头"),
                "short hair": Choice("shortHair", "short {color} hair", "{color}短发"),
                "straight hair": Choice("straightHair", "straight {color} hair", "{color}直发"),
                "wavy bob": Choice("wavyBob", "wavy {color} hair", "{color}波浪发"),
            },
            ("hairVariant",),
            "hair_color",
        ),
        "mouth": Attribute(
            {
                "clenched teeth": Choice("awkwardSmile", "clenched teeth", "咬着牙"),
                "braces": Choice("braces", "braces", "戴着牙套"),
                "gap": Choice("gapSmile", "a gap between the teeth", "有牙缝的笑"),
                "open smile": Choice("openedSmile", "an open smile", "张嘴大笑"),
                "shout": Choice("openSad", "a sad open mouth", "难过地张着嘴"),
                "grin": Choice("teethSmile", "a grin", "咧嘴笑"),
                "flat mouth": Choice("unimpressed", "a flat mouth", "抿着嘴"),
            },
            ("mouthVariant",),
        ),
        "accessory": Attribute(
            {
                None: Choice(None),
                "cat ears": Choice("catEars", "cat ears", "戴着猫耳朵"),
                "clown nose": Choice("clownNose", "a clown nose", "戴着小丑鼻子"),
                "face mask": Choice("faceMask", "a face mask", "戴着口罩", "mouth"),
                "glasses": Choice("glasses", "glasses", "戴着眼镜"),
                "moustache": Choice("mustache", "a moustache", "小胡子", "mouth"),
                "crown": Choice("sailormoonCrown", "a golden crown", "戴着金冠"),
                "sleep mask": Choice("sleepMask", "a sleep mask", "戴着眼罩"),
                "sunglasses": Choice("sunglasses", "sunglasses", "戴着墨镜"),
            },
            ("accessoriesVariant",),
        ),
    },
    {"accessory": 0.4},
    {"eyesVariant": ["normal", "cheery"]},
    (
        (("hair", "mohawk"), ("accessory", "cat ears")),
        (("hair", "braids"), ("accessory", "sunglasses")),
        (("hair_color", "blue"), ("mouth", "grin")),
        (("hair_color", "green"), ("accessory", "clown nose")),
    ),
)
AVATAR_STYLES = {"personas": _PERSONAS, "big_smile": _BIG_SMILE}
