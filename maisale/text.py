"""Text as search sees it: folding, words, sentences, language, a token estimate. Pure functions; English stems are in stemming.py."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

_MARKS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
_WORD = re.compile(r"[^\W_]+")
_VIETNAMESE_LETTER = re.compile("[ăđơưĂĐƠƯ\u1ea0-\u1ef9]")

STOP_EN = frozenset(
    (
        "a about after again all also am an and any are aren as at be because been before being between both but by can cannot could did didn do does "
        "doesn doing don down during each few for from further had has hasn have haven having he her here hers him his how i if in into is isn it its "
        "itself just let ll me more most my no nor not of off on once one only or other our ours out over own please re s same shall she should so "
        "some such t tell than that the their theirs them then there these they this those through to too under until up us ve very was wasn we were "
        "weren what when where which while who whom whose why will with won would you your yours"
    ).split()
)
# A short list: folded, many more syllables would be words of their own as well.
STOP_VI = frozenset(
    (
        "a ai bi cac cho co cua cung da dang dau de den do duoc gi hay khi khong la ma mot nao nay nhe nhieu nhu nhung o oi ra rat sao se tai the thi "
        "toi trong tu va vao vi voi xin"
    ).split()
)
# Words that ask together and say nothing about the answer, though one of them alone would.
_ASKING = {
    *(("how", word) for word in "big deep far fast heavy high large long many much often old tall wide".split()),
    *((asks, word) for asks in ("what", "which") for word in "date day kind month name percentage time type year".split()),
    *(("bao", word) for word in "gio lau nhieu xa".split()),
    *((word, "nao") for word in "loai luc nam ngay nguoi noi thang".split()),
    *((word, "gi") for word in "cai dieu la loai ten viec".split()),
    *(("nhu", "the"), ("o", "dau"), ("tai", "sao"), ("vi", "sao")),
}
# Folded, these are words of both languages: they say nothing about which one is written.
_SHARED = frozenset(
    (
        "a ai am an at be but can co con do for ha he hi him i in it la lo ma may me men met my nam no not of on phi sang so song tan ten than that "
        "the them then thin thing to u up us van"
    ).split()
)
# What makes a message a question or a request in which nothing is said. Folded; Vietnamese asks with a word anywhere in the sentence, English at its beginning.
_ASKS_EN = re.compile(
    r"(?:(?:and|but|so|ok|okay|sorry|then|also|please|hi|hello|hey),? )*(?:what|how|when|where|who|whom|whose|which|why|is|are|was|were|do|does|did|can|could|"
    r"will|would|should|shall|may|has|have|had|am|any|tell|show|list|give|explain|find|describe|summari[sz]e|compare|translate)\b"
)
_ASKS_VI = re.compile(
    r"\b(?:bao (?:nhieu|lau|gio|xa)|may (?:gio|thang|ngay|nam|lan|nguoi|cai|tieng|tuan)|the nao|(?:thi|tai|vi|lam|ra) sao|o dau|(?:la|cai|nhung|lam|co) gi|"
    r"ai|nao|cho (?:toi|em|minh|hoi)|liet ke|giai thich|tim|so sanh|tom tat)\b|\b(?:khong|ko|k|chua|gi|sao|nhi|ha|vay)$"
)
FRAGMENT = 3  # content words up to which a message without a full stop asks ("and filters")
# As people type Vietnamese in a chat; only what stands for nothing else.
_SHORT_VI = {
    "bn": "bao nhieu", "cty": "cong ty", "dc": "duoc", "hdsd": "huong dan su dung", "j": "gi", "k": "khong", "kg": "khong", "kh": "khach hang", "ko": "khong",
    "mk": "mat khau", "ntn": "nhu the nao", "nv": "nhan vien", "sdt": "so dien thoai", "sp": "san pham", "tk": "tai khoan", "trc": "truoc", "vs": "voi",
}  # fmt: skip
_ONSET = "b|ch|c|d|gh|gi|g|h|kh|k|l|m|ngh|ng|nh|n|ph|p|qu|r|s|th|tr|t|v|x"
_RHYME = (
    "a|ac|ach|ai|am|an|ang|anh|ao|ap|at|au|ay|e|ec|ech|em|en|eng|enh|eo|ep|et|eu|i|ia|ich|iec|iem|ien|ieng|iep|iet|ieu|im|in|inh|ip|it|iu|o|oa|"
    "oac|oach|oai|oan|oang|oanh|oat|oay|oc|oe|oen|oet|oi|om|on|ong|op|ot|u|ua|uan|uang|uat|uay|uc|ue|uech|uenh|ui|um|un|ung|uo|uoc|uoi|uom|uon|"
    "uong|uop|uot|uou|up|ut|uu|uy|uya|uych|uyen|uyet|uynh|uyt|uyu|y|yem|yen|yet|yeu"
)
_SYLLABLE = re.compile(f"(?:{_ONSET})?(?:{_RHYME})")
_IDENTIFIER = re.compile(r"\b(?:\w+_\w*|[A-Z][A-Z\d]+)\b")  # lease_until, PORT: they are the same in every language
HASH_WORD = "zp[0-9a-f]{16}z"  # of a number that redaction.py took out of a text
PLACEHOLDER = re.compile(f"‹(?:email|phone|card|iban|citizen id|tax code|ip address|secret)(?: {HASH_WORD})?›")
SYLLABLE_SHARE = 0.6  # of the words; finds 98 % of Vietnamese questions typed without marks and no English one (4000 tried)
VIETNAMESE_SHARE = 0.15  # of a document's words bear a letter that only Vietnamese has; in Vietnamese prose about 0.4


def fold(text: str) -> str:
    """`text` in lower case without marks, đ as d: what is indexed and what is asked."""
    if text.isascii():
        return text.lower()
    return _MARKS.sub("", unicodedata.normalize("NFD", text)).replace("đ", "d").replace("Đ", "d").lower()


def words(text: str) -> list[str]:
    """The folded words of `text` in order; letters and digits only."""
    return _WORD.findall(fold(text))


def is_vietnamese(text: str) -> bool:
    """Whether `text` is Vietnamese, with or without its marks."""
    return language(text) == "vi"


@lru_cache(maxsize=2000)  # of passages of a few hundred words, and of questions
def language(text: str, otherwise: str = "en") -> str:
    """en or vi. otherwise: what a text is that does not show it ("RO-9?")."""
    text = PLACEHOLDER.sub(" ", text) if "‹" in text else text
    found = words(_IDENTIFIER.sub(" ", text)) or words(text)
    telling = [word for word in found if len(word) > 2 and word not in _SHARED and not word.isdigit()]
    syllables = sum(is_syllable(word) for word in telling)
    marked = _VIETNAMESE_LETTER.search(unicodedata.normalize("NFC", text)) is not None
    # English sentences name Vietnamese places, so marks alone prove nothing.
    english = any(word in STOP_EN and not is_syllable(word) for word in found)
    if marked and not english:
        return "vi"
    if syllables >= 2 and syllables >= (0.75 if english else SYLLABLE_SHARE) * len(telling):
        return "vi"
    return "en" if english or syllables < len(telling) else otherwise


@lru_cache(maxsize=50_000)
def is_syllable(word: str) -> bool:
    """Whether a folded word can be a Vietnamese syllable."""
    return _SYLLABLE.fullmatch(word) is not None


def main_language(texts: Iterable[str]) -> str:
    """en or vi, of a document: Vietnamese names do not make an English one Vietnamese."""
    head = " ".join(islice(texts, 20))[:20_000]
    sample = head.split()
    marked = sum(_VIETNAMESE_LETTER.search(word) is not None for word in sample) if _VIETNAMESE_LETTER.search(head) else 0
    if not marked:
        return language(" ".join(sample[:200]))  # perhaps Vietnamese without its marks
    return "vi" if marked >= VIETNAMESE_SHARE * len(sample) else "en"


def asks(text: str) -> bool:
    """Whether a message asks or requests and says nothing that could answer, question mark or not."""
    plain = " ".join(fold(text).split()).strip("\"'¿ ")
    if plain.endswith("?"):
        return True
    language_of = language(text)
    end = plain.rstrip(".!, ")
    if _ASKS_VI.search(end) if language_of == "vi" else _ASKS_EN.match(plain):
        return True
    return not plain.endswith((".", "!")) and len(content_words(text, language_of)) <= FRAGMENT


def stop_words(language_of: str) -> frozenset[str]:
    return STOP_VI if language_of == "vi" else STOP_EN


def content_words(text: str, language_of: str = "") -> list[str]:
    """The folded words of `text` that are about something, in order, repeats kept. language_of: en or vi; empty: found out."""
    return [word for word, telling in _weighed(text, language_of or language(text)) if telling]


def word_pairs(text: str, language_of: str = "") -> list[tuple[str, str]]:
    """Neighbouring folded words of which one at least is about something: Vietnamese words are pairs of syllables."""
    found = _weighed(text, language_of or language(text))
    return [(one, two) for (one, telling), (two, also) in zip(found, found[1:], strict=False) if telling or also]


def _weighed(text: str, language_of: str) -> list[tuple[str, bool]]:
    """Each folded word, and whether it is about something: "how long" asks, "long" alone does not."""
    found = words(text)
    if language_of == "vi":
        found = [word for written in found for word in _SHORT_VI.get(written, written).split()]
    stop = stop_words(language_of)
    asking = {at for at, pair in enumerate(zip(found, found[1:], strict=False)) if pair in _ASKING}
    return [(word, word not in stop and at not in asking and at - 1 not in asking) for at, word in enumerate(found)]


def indexed_text(title: str, heading: str, text: str) -> str:
    """What is embedded and searched for one chunk: its title and heading path stand before its text, the title once."""
    return "\n".join(part for part in ("" if heading.startswith(title) else title, heading, text) if part)


# ---- tokens

_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")


def estimate_tokens(text: str) -> int:
    """About how many tokens a model counts, within 13 % (English) and 8 % (Vietnamese) for 95 of 100 texts (WordPiece)."""
    return round(token_cost(text))


def token_cost(text: str) -> float:
    """The same before it is rounded: of texts with room between them it can be added up."""
    return sum(map(_token_cost, _TOKEN.findall(text)))


@lru_cache(maxsize=50_000)
def _token_cost(token: str) -> float:
    # Fitted by least squares to WordPiece counts of English and Vietnamese passages.
    if token[0].isdigit():
        return 0.307 + 0.247 * max(0, len(token) - 2)
    if not token[0].isalpha():
        return 1.521
    if token.isascii():
        return 0.953 + 0.102 * max(0, len(token) - 6)
    return 1.472 + 0.487 * max(0, len(token) - 3)


# ---- sentences

_LINE_OF_ITS_OWN = re.compile(r"\s*(?:#{1,6}\s|[-*+•]\s|\d{1,3}[.)]\s|\||```|~~~|>)")
_HEADING = re.compile(r"\s*#{1,6}\s")
_LINE_MARK = re.compile(r"^\s*(?:#{1,6}\s+|[-*+•]\s+|\d{1,3}[.)]\s+|>\s*)+")
_TABLE_RULE = re.compile(r"\|[\s|:-]*-[\s|:-]*")
_RULE = re.compile(r"[\s|:=*_~`+-]*")
_CELL_END = re.compile(r"(?<!\\)\|")
_FIGURE = re.compile(r"(?!(?:19|20)\d\d$)\W*\d[\W\d]*")  # in a first row it says that this is data; years name columns
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\W_a-z])")
_APART = "\x1f"  # the unit separator: in no sentence and no word
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|no|vs|etc|e\.g|i\.e|inc|ltd|co|corp|jr|sr|fig|approx|tp|ths|ts|gs|pgs|bs|ks|q|p)|\b[A-ZĐ])\.$", re.IGNORECASE
)


def sentences(text: str) -> list[str]:
    """The sentences of `text` in order, verbatim but for their line breaks and list marks; a list item or table row stands alone."""
    return list(_sentences(text))


@lru_cache(maxsize=2000)  # a passage is read again for its quotes and highlights, and for the next question
def _sentences(text: str) -> tuple[str, ...]:
    return tuple(sentence for block in _blocks(text) for sentence in _split_block(block))


@lru_cache(maxsize=2000)  # as long: of 12 MB at most
def sentence_words(text: str) -> tuple[tuple[str, ...], ...]:
    """The folded words of each of its sentences, in order."""
    found = _sentences(text)
    folded = fold(_APART.join(found)).split(_APART) if found else ()  # one by one costs more
    return tuple(tuple(_WORD.findall(one)) for one in folded)


def table_heads(text: str) -> set[str]:
    """Those of the sentences that are the first rows of Markdown tables: names of columns."""
    lines = text.splitlines()
    heads = (line for line, below in zip(lines, lines[1:], strict=False) if line.lstrip().startswith("|") and _TABLE_RULE.fullmatch(below.strip()))
    return {sentence for head in heads for sentence in _split_block(head.strip())}


def headings(text: str, alone: bool = False) -> set[str]:
    """Those of the sentences that are Markdown headings. alone: with no line directly above or below, for there # begins a comment."""
    lines = ["", *text.splitlines(), ""]
    found = [line for above, line, below in zip(lines, lines[1:], lines[2:]) if _HEADING.match(line) and not (alone and (above.strip() or below.strip()))]
    return {sentence for line in found for sentence in _split_block(line.strip())}


def is_table_rule(line: str) -> bool:
    """Whether it is the line of dashes below the names of a Markdown table's columns."""
    return line.lstrip().startswith("|") and bool(_TABLE_RULE.fullmatch(line.strip()))


def table_cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table, as they were before it was one."""
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in _CELL_END.split(inner)]


def named_row(text: str, sentence: str) -> list[tuple[str, str]]:
    """The row that `sentence` stands in, of a table in `text`: (name of the column, cell). Empty when it stands in none, or its columns have no names."""
    names: list[str] = []
    lines = text.splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if not line.lstrip().startswith("|"):
            names = []
        elif is_table_rule(below):
            cells = table_cells(line)
            names = cells if len(set(cells)) == len(cells) and not any(_FIGURE.fullmatch(cell) for cell in cells) else []
        elif names and not is_table_rule(line) and sentence in line:
            cells = table_cells(line)
            return list(zip(names, cells, strict=False)) if len(cells) <= len(names) else []
    return []


def _blocks(text: str) -> list[str]:
    """Paragraphs with their lines joined; lines of lists, tables and headings stay alone."""
    blocks: list[list[str]] = [[]]
    alone = False
    for line in text.splitlines():
        marked = _LINE_OF_ITS_OWN.match(line) is not None
        if not line.strip() or marked or (alone and line.lstrip().startswith("|")):
            blocks.append([])
        if line.strip():
            heading_or_row = line.lstrip().startswith(("#", "|", "```", "~~~"))
            blocks[-1].append(line)
            if heading_or_row:
                blocks.append([])
        alone = marked
    return [" ".join(part.strip() for part in block) for block in blocks if block]


def _split_block(block: str) -> list[str]:
    body = _LINE_MARK.sub("", block).strip().strip("|").strip()
    if not body or _RULE.fullmatch(body):
        return []
    found, start = [], 0
    for end in _SENTENCE_END.finditer(body):
        piece = body[start : end.start()]
        if not _ABBREVIATION.search(piece[-8:]):
            found.append(body[start : end.end()].strip())
            start = end.end()
    rest = body[start:].strip()
    return [*found, rest] if rest else found
