"""Words that a picture does not show, for `PromptCleaner`."""

# Articles, copulas, pronouns and politeness. Not here: words of place, number and negation, which a picture does show.
_ENGLISH = """
a an the this that these those some such
am is are was were be been being has have had do does did
i me my we us our you your he him his she her it its they them their
who whom whose which what there here
of and as so very really just also please
"""

# Measure words with "one", and particles. Single characters only where few words have them for a part.
_CHINESE = """
一个 一只 一张 一幅 一条 一些 一种 一位 一座 一朵 一棵 一头 一匹 一件 一辆 一块 一本 一把
这个 那个 这只 那只 这些 那些 这是 那是 请 的 了 吗 呢
"""

STOP_WORDS = {"en": tuple(_ENGLISH.split()), "zh": tuple(_CHINESE.split())}

# Words that have a stop word for a part, and stay whole: purpose, taxi, understand, lookout, for the sake of, invite,
# request, apply, flannel.
KEPT = ("目的", "的士", "了解", "了望", "为了", "邀请", "请求", "申请", "呢绒")
