from kgen.data.emoji_groups import EMOJI_GROUPS, emoji_group


def test_each_character_is_in_one_group():
    everything = "".join(EMOJI_GROUPS.values())
    assert len(EMOJI_GROUPS) == 9 and len(everything) > 1300
    assert len(set(everything)) == len(everything)


def test_sequences_go_by_their_first_character():
    assert emoji_group("🍎") == "food-drink"
    assert emoji_group("🐻‍❄️") == "animals-nature"
    assert emoji_group("👨‍🍳") == emoji_group("👋🏽") == "people-body"
    assert emoji_group("🇩🇪") == "flags"
    assert emoji_group("x") is None
