"""English stems: irregular forms by a table, all others as FTS5's `porter` makes them (M. F. Porter, An algorithm for suffix stripping, 1980).

Pure; folding and words are in text.py.
"""

from __future__ import annotations

import re
from functools import lru_cache

_C, _V = "(?:[^aeiou](?:[^aeiouy])*)", "(?:[aeiouy][aeiou]*)"
_MEASURE_1 = re.compile(f"^{_C}?{_V}{_C}")
_MEASURE_ONE = re.compile(f"^{_C}?{_V}{_C}{_V}?$")
_MEASURE_2 = re.compile(f"^{_C}?{_V}{_C}{_V}{_C}")
_VOWEL = re.compile(f"^{_C}?[aeiouy]")
_DOUBLE = re.compile(r"([^aeiouylsz])\1$")
_SHORT = re.compile(f"^{_C}[aeiouy][^aeiouwxy]$")
_STEP_2 = dict(
    ational="ate",
    tional="tion",
    enci="ence",
    anci="ance",
    izer="ize",
    logi="log",
    bli="ble",
    alli="al",
    entli="ent",
    eli="e",
    ousli="ous",
    ization="ize",
    ation="ate",
    ator="ate",
    alism="al",
    iveness="ive",
    fulness="ful",
    ousness="ous",
    aliti="al",
    iviti="ive",
    biliti="ble",
)
_STEP_3 = dict(icate="ic", ative="", alize="al", iciti="ic", ical="ic", ful="", ness="")
_STEP_4 = ("ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "ize", "ion", "al", "er", "ic", "ou")


# Form to word. What is as often a word of its own ("lives", "leaves", "lay") is left out.
_IRREGULAR = {
    form: group.split()[0]
    for group in (
        "arise arose arisen | awake awoke awoken | bear bore borne born | become became | begin began begun | bend bent | bind bound | "
        "bite bit bitten | bleed bled | blow blew blown | break broke broken | bring brought | build built | buy bought | catch caught | "
        "choose chose chosen | come came | creep crept | deal dealt | die died dies dying | dig dug | draw drew drawn | drink drank drunk | "
        "drive drove driven | eat ate eaten | fall fell fallen | feed fed | feel felt | fight fought | find found | flee fled | fly flew flown | "
        "forbid forbade forbidden | forget forgot forgotten | forgive forgave forgiven | freeze froze frozen | get got gotten | give gave given | "
        "go went gone | grow grew grown | hang hung | hear heard | hide hid hidden | hold held | keep kept | know knew known | lay laid | lead led | "
        "leave left | lend lent | light lit | lose lost | make made | mean meant | meet met | overcome overcame | "
        "oversee oversaw overseen | pay paid | ride rode ridden | ring rang rung | rise rose risen | run ran | say said | see saw seen | seek sought | "
        "sell sold | send sent | shake shook shaken | shine shone | shoot shot | show shown | shrink shrank shrunk | sing sang sung | sink sank sunk | "
        "sit sat | sleep slept | slide slid | speak spoke spoken | spend spent | spin spun | stand stood | steal stole stolen | stick stuck | "
        "strike struck | strive strove striven | swear swore sworn | sweep swept | swim swam swum | swing swung | take took taken | teach taught | "
        "tear tore torn | tell told | think thought | throw threw thrown | tie tied ties tying | undertake undertook undertaken | understand understood | "
        "undo undid undone | wake woke woken | wear wore worn | weave wove woven | win won | withdraw withdrew withdrawn | write wrote written | "
        "analysis analyses | appendix appendices | bacterium bacteria | basis bases | child children | crisis crises | criterion criteria | foot feet | "
        "half halves | index indices | knife knives | man men | matrix matrices | mouse mice | "
        "nucleus nuclei | person people | phenomenon phenomena | shelf shelves | thesis theses | tooth teeth | vertex vertices | wife wives | "
        "wolf wolves | woman women"
    ).split(" | ")
    for form in group.split()[1:]
}
_FORMS: dict[str, list[str]] = {}
for _form, _word in _IRREGULAR.items():
    _FORMS.setdefault(_word, [_word]).append(_form)


def stem(word: str) -> str:
    """The stem of a folded word, "begin" of "began" too; made for English, so other words may lose an ending too."""
    return porter(_IRREGULAR.get(word, word))


def variants(word: str) -> tuple[str, ...]:
    """`word` and the irregular forms of the same word: one for each stem that `porter` makes of them."""
    forms = _FORMS.get(_IRREGULAR.get(word, word), ())
    return tuple({porter(form): form for form in (*forms, word)}.values())


@lru_cache(maxsize=100_000)
def porter(word: str) -> str:
    """What FTS5's tokenizer of that name makes of a folded word."""
    if len(word) < 3 or not word.isascii():
        return word
    word = _plural(word)
    word = _past_and_ing(word)
    if word.endswith("y") and _VOWEL.match(word[:-1]):
        word = word[:-1] + "i"
    word = _suffix(_suffix(word, _STEP_2), _STEP_3)
    return _final_e(_drop(word))


def _plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _past_and_ing(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _MEASURE_1.match(word[:-3]) else word
    for ending in ("ed", "ing"):
        head = word.removesuffix(ending)
        if head == word or not _VOWEL.match(head):
            continue
        if head.endswith(("at", "bl", "iz")):
            return head + "e"
        if _DOUBLE.search(head):
            return head[:-1]
        return head + "e" if _SHORT.match(head) else head
    return word


def _suffix(word: str, table: dict[str, str]) -> str:
    for ending in sorted((e for e in table if word.endswith(e)), key=len, reverse=True)[:1]:
        head = word[: -len(ending)]
        return head + table[ending] if _MEASURE_1.match(head) else word
    return word


def _drop(word: str) -> str:
    for ending in sorted((e for e in _STEP_4 if word.endswith(e)), key=len, reverse=True)[:1]:
        head = word[: -len(ending)]
        if _MEASURE_2.match(head) and (ending != "ion" or head.endswith(("s", "t"))):
            return head
    return word


def _final_e(word: str) -> str:
    if word.endswith("e"):
        head = word[:-1]
        if _MEASURE_2.match(head) or (_MEASURE_ONE.match(head) and not _SHORT.match(head)):
            word = head
    return word[:-1] if word.endswith("ll") and _MEASURE_2.match(word[:-1]) else word
