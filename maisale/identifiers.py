"""Finds what identifies or lets in a person: addresses, numbers and keys, and no order numbers, versions or dates. Pure.

What a number is, its own check says (libphonenumber's rules, Luhn, ISO 13616, the check digit of a tax code) and, where many other numbers pass
that check, the words before it: "MST", "CCCD", "IP". In a table these are the words above its column.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import phonenumbers
from stdnum import iban, luhn
from stdnum.exceptions import ValidationError
from stdnum.vn import mst

from maisale.text import HASH_WORD, fold

KINDS = ("email", "phone", "card", "iban", "citizen_id", "tax_code", "ip", "secret")
BEFORE = 60  # characters in which the words that say what a number is may stand
HOME = "VN"  # whose national numbers need no country code


@dataclass(frozen=True, slots=True)
class Identifier:
    kind: str  # one of KINDS
    start: int
    end: int
    normal: str  # the same for every way to write it


# Folded words, at most 24 characters before the number; no digit between them and it.
_SAYS = {
    "phone": r"phone|tel|telephone|mobile|cell|call|dial|ring|text|fax|hotline|whatsapp|zalo|viber|sms|dien thoai|sdt|dt|di dong|goi|lien he|tong dai|contact",
    "tax_code": r"mst|ma so thue|tax (?:code|id|number|no|identification)|tin|vat (?:number|code|id|no)|msdn|ma so (?:doanh nghiep|dn)",
    "citizen_id": r"cccd|cmnd|cmt|cmtnd|can cuoc|chung minh|(?:citizen|national|personal) id|id card|identity card|id (?:number|no)|dinh danh",
    "ip": r"ip|ipv4|ipv6|(?:ip|server|host|network) address|dia chi|host|server|may chu|gateway|dns|proxy|subnet|ping|ssh|client|router|modem|dhcp|firewall",
    "version": r"v|ver|version|phien ban|ban|release|build|firmware|driver|section|chapter|chuong|muc|dieu|khoan|article|oid|figure|table|bang|hinh",
}
_SAID = {kind: re.compile(rf"\b(?:{labels})\b[^\d]{{0,24}}$") for kind, labels in _SAYS.items()}
_SAID["version"] = re.compile(rf"\b(?:{_SAYS['version']})\b\W{{0,3}}$")
# What directly leads a number that is nobody's: "order no. ", "mã đơn hàng: ".
_SAID["thing"] = re.compile(
    r"(?:#|\b(?:orders?|invoice|ticket|tracking|serial|sku|batch|part|model|ref|reference|case|contract|receipt|barcode|upc|article|tool|parcel|container|"
    r"pallet|meter|imei|gtin|ean|isbn|issn|transaction|item|product|asset|flight|(?:don|lo|chuyen|kien|mat|ma) hang|ma don|so don|don|hoa don|van don|seri|"
    r"so hieu|hop dong|phieu|ma vach|ma san pham|giao dich|tra cuu|cong to|ho so|ma ve)\b)"
    r"(?:\W*\b(?:no|nr|number|so|code|id|ma|is|was|la|chuyen hang|hang)\b)*\W{0,3}$"
)
_SAID_BEHIND = {
    kind: re.compile(rf"\W{{1,3}}(?:(?:our|my|his|her|their|the|is|la) )*(?:{_SAYS[kind]})\b") for kind in ("tax_code", "citizen_id")
}
# Others before it in a list: "DNS 192.0.2.1 and ".
_LISTED = re.compile(r"(?:[\d.()+ -]{7,24}(?:,|;|/|&|\band\b|\bor\b|\bva\b|\bhoac\b)\s*)+$")
_ALL_SAID = frozenset((*_SAYS, "anything")) - {"version"}

_EMAIL = re.compile(r"[\w.%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.([A-Za-z]{2,24})(?![\w@-])")
_FILES = frozenset("png jpg jpeg gif svg webp pdf js ts css json md txt".split())  # logo@2x.png
_IBAN = re.compile(r"(?<![^\W_])(?:[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?|[A-Za-z]{2}\d{2}[A-Za-z0-9]{11,30})(?![^\W_])")
_IP4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IP6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_NUMBER = re.compile(r"(?<![^\W_])(?<![^\W_]-)(?<!\d[.,/])(?:\+|\()?\d(?:[ .–/()-]{0,2}\d){7,30}(?![^\W_]|-[^\W_]|[.,]\d)")
_DIGIT = re.compile(r"\d")
_GROUP = re.compile(r"\d+")
_APART = re.compile(r"[ /–]")  # where one number may end and another begin
_SECRET = re.compile(
    r"(?<![A-Za-z0-9_])(?:sk-(?:[a-z]+-)?(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{16,}|[spr]k_(?:live|test)_\w{16,}|gh[pousr]_\w{30,}|github_pat_\w{30,}|glpat-[\w-]{16,}"
    r"|xox[abeprs]-[\w-]{16,}|A[KS]IA[A-Z0-9]{12,20}|AIza[\w-]{33,}|hf_[A-Za-z0-9]{20,}|npm_\w{30,}|pypi-[\w-]{30,}|SG\.[\w-]{16,}\.[\w-]{16,}|ya29\.[\w-]{20,}"
    r"|msk_[0-9a-f]{16}_[\w-]{43}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})(?![\w-])"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
# What one of the two patterns needs: looked for first, a text without any costs a hundredth.
_HINTS = (
    *("sk-", "k_live_", "k_test_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "akia", "asia", "aiza", "hf_", "npm_", "pypi-"),
    *("sg.", "ya29.", "msk_", "eyj", "-----begin ", "key", "token", "secret", "bearer", "api", "truy c"),
)
_REPLACED = re.compile(HASH_WORD)
_SECRET_SAID = re.compile(
    r"(?:api[ _-]?key|(?:access|secret|auth|private|bearer)[ _-]?(?:key|token)|client[ _-]?secret|bearer|token|secret|kh[oó][aá] api|m[aã] truy c[aậ]p)"
    r"[\"'*`]*\s*(?:[:=]|is|l[aà])?\s*[\"'*`]*([A-Za-z0-9][\w.+/=-]{14,}[\w+/=-])",
    re.IGNORECASE,
)
_CARD = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|35\d{14}|6(?:011|4[4-9]\d|5\d\d)\d{12}|62\d{14,17}"
    r"|9704\d{12}(?:\d{3})?"
)
_NOBODY = ("0", "127", "255")  # first numbers of "everywhere", of a machine itself, and of masks
_NATIONAL_US = re.compile(r"\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4}")
_SERVICE = re.compile(r"1[89]00\d{4,6}")
# The 63 provinces of 1999 to 2025, whose codes begin a citizen's number; then sex and century, then the year of birth.
_PROVINCES = frozenset(
    (
        "001 002 004 006 008 010 011 012 014 015 017 019 020 022 024 025 026 027 030 031 033 034 035 036 037 038 040 042 044 045 046 048 049 051 052 054 "
        "056 058 060 062 064 066 067 068 070 072 074 075 077 079 080 082 083 084 086 087 089 091 092 093 094 095 096"
    ).split()
)


def find(text: str) -> list[Identifier]:
    """What identifies somebody in `text`, in order; none overlaps another."""
    kept: list[Identifier] = []
    for one in sorted(_all(text, sure=True), key=lambda one: (one.start, KINDS.index(one.kind) if one.kind != "secret" else -1, -one.end)):
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept


def could_be(text: str) -> list[Identifier]:
    """Everything in `text` that would identify somebody if the right words stood before it, in order: a question is short of such words.

    One place may be several; a longer one comes before a shorter one.
    """
    return sorted({*_all(text, sure=True), *_all(text, sure=False)}, key=lambda one: (one.start, -one.end))


def _all(text: str, sure: bool) -> Iterator[Identifier]:
    if "@" in text:
        yield from _emails(text)
    if not _DIGIT.search(text):
        return
    yield from _secrets(text)
    yield from _ibans(text)
    yield from _addresses(text, sure)
    for found in _NUMBER.finditer(text):
        yield from _numbers(text, found, sure)


def _emails(text: str) -> Iterator[Identifier]:
    for found in _EMAIL.finditer(text):
        behind = text[found.end() : found.end() + 2]
        if found[1].lower() in _FILES or (behind[:1] == ":" and behind[1:].strip()):
            continue  # git@github.com:team/tool
        start = found.start() + len(found[0]) - len(found[0].lstrip("'.%-"))
        if text[start] != "@":
            yield Identifier("email", start, found.end(), text[start : found.end()].lower())


def _secrets(text: str) -> Iterator[Identifier]:
    lowered = text.lower()
    if not any(hint in lowered for hint in _HINTS):
        return
    for found in _SECRET.finditer(text):
        yield Identifier("secret", found.start(), found.end(), found[0])
    for found in _SECRET_SAID.finditer(text):
        value = found[1].rstrip(".")
        if not _REPLACED.fullmatch(value) and sum(char.isdigit() for char in value) >= 2 and sum(char.isalpha() for char in value) >= 2:
            yield Identifier("secret", found.start(1), found.start(1) + len(value), value)


def _ibans(text: str) -> Iterator[Identifier]:
    for found in _IBAN.finditer(text):
        ends = [found.end(), *(found.start() + at for at in range(len(found[0]) - 1, 14, -1) if found[0][at] == " ")]
        for end in ends:  # a word in capitals may follow
            number = iban.compact(text[found.start() : end])
            try:
                iban.validate(number, check_country=False)
            except ValidationError:
                continue
            yield Identifier("iban", found.start(), end, number)
            break


def _addresses(text: str, sure: bool) -> Iterator[Identifier]:
    for found in _IP4.finditer(text):
        parts = found[0].split(".")
        if any(int(part) > 255 or (len(part) > 1 and part[0] == "0") for part in parts) or parts[0] in _NOBODY:
            continue
        said = _said(text, found.start(), found.end()) if sure else _ALL_SAID
        private = parts[0] == "192" or (parts[0] == "172" and 16 <= int(parts[1]) < 32)
        if "version" not in said and ("ip" in said or private or max(map(int, parts)) >= 100):
            yield Identifier("ip", found.start(), found.end(), found[0])
    for found in _IP6.finditer(text) if ":" in text else ():
        groups = [group for group in found[0].split(":") if group]
        if len(groups) < 2 or not any(char.isdigit() for char in found[0]) or found[0].count(":") < 3 and "::" not in found[0]:
            continue
        try:
            yield Identifier("ip", found.start(), found.end(), ipaddress.IPv6Address(found[0]).compressed)
        except ValueError:
            continue


def _numbers(text: str, found: re.Match, sure: bool) -> Iterator[Identifier]:
    """The run of digits as one number or as several with room between them."""
    groups = list(_GROUP.finditer(found[0]))
    cuts = [False, *(bool(_APART.search(found[0][one.end() : two.start()])) for one, two in pairwise(groups)), True]
    first = 0
    while first < len(groups):
        step, said = first + 1, None
        for last in range(len(groups), first, -1):
            lengths = [len(group[0]) for group in groups[first:last]]
            if (first and not cuts[first]) or (last < len(groups) and not cuts[last]) or not 8 <= sum(lengths) <= 19:
                continue
            begin = groups[first].start()
            begin -= begin > 0 and (found[0][begin - 1] == "+" or (found[0][begin - 1] == "(" and ")" in found[0][begin : groups[last - 1].start()]))
            start, end = found.start() + begin, found.start() + groups[last - 1].end()
            if said is None:
                said = _said(text, start, end) if sure else _ALL_SAID
            if kinds := list(_kinds(text[start:end], lengths, said)):
                yield from (Identifier(kind, start, end, normal) for kind, normal in (kinds[:1] if sure else kinds))
                step = last
                break
        first = step


def _kinds(written: str, lengths: Sequence[int], said: frozenset[str]) -> Iterator[tuple[str, str]]:
    """(kind, normal) of what `written` is, the likeliest first. lengths: of its groups of digits."""
    digits = "".join(char for char in written if char.isdigit())
    if "tax_code" in said and len(digits) in (10, 13) and mst.is_valid(digits):
        yield "tax_code", digits
    if "citizen_id" in said and (len(digits) == 9 or (len(digits) == 12 and digits[:3] in _PROVINCES)):
        yield "citizen_id", digits
    if "tax_code" in said and "citizen_id" not in said and len(digits) == 12 and digits[:3] in _PROVINCES:
        yield "tax_code", digits  # since 2025 a citizen's number is their tax code
    if ("thing" in said or min(lengths) < 2) and written[0] != "+":
        return  # "1 2 3 4 5" is a row of numbers
    if number := _phone(written, digits, said):
        yield "phone", number
    if _CARD.fullmatch(digits) and (set(lengths[:-1]) <= {4} or lengths[:2] == [4, 6]) and luhn.is_valid(digits):
        yield "card", digits
    if "citizen_id" not in said and _is_citizen(digits):
        yield "citizen_id", digits


def _is_citizen(digits: str) -> bool:
    """Whether nothing speaks against a citizen's number that no word announces."""
    return len(digits) == 12 and digits[:3] in _PROVINCES and (digits[3] in "01" or (digits[3] in "23" and digits[4] in "012"))


def _phone(written: str, digits: str, said: frozenset[str]) -> str:
    """E.164, or the digits of a service number; empty when it is no phone number."""
    if len(digits) > 15 or written.count("/"):
        return ""
    if written[0] == "+" or digits.startswith("00"):
        return _valid("+" + digits.removeprefix("00"), None)
    if digits[0] == "0" and len(digits) in (10, 11) and (number := _valid(digits, HOME)):
        return number
    if _NATIONAL_US.fullmatch(written) or _NATIONAL_US.fullmatch(written + ")"):
        return _valid(digits, "US")
    if "phone" not in said:
        return ""
    if _SERVICE.fullmatch(digits):
        return digits
    if digits.startswith("84") and (number := _valid("+" + digits, None)):
        return number
    return _valid(digits, "GB") if digits[0] == "0" and len(digits) in (10, 11) else ""


def _valid(number: str, region: str | None) -> str:
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_valid_number(parsed) else ""


def _said(text: str, start: int, end: int) -> frozenset[str]:
    """What the words before a number, directly behind it, or above its column call it."""
    line = text.rfind("\n", 0, start) + 1
    before = fold(text[max(start - BEFORE, 0) : start])
    if text.startswith("|", line):
        before = f"{fold(_column(text, line, text.count('|', line, start)))} {fold(text[max(start - BEFORE, line) : start]).rpartition('|')[2]}"
    before, behind = _LISTED.sub("", before), fold(text[end : end + BEFORE])
    return frozenset(
        [*(kind for kind, pattern in _SAID.items() if pattern.search(before)), *(kind for kind, pattern in _SAID_BEHIND.items() if pattern.match(behind))]
    )


def _column(text: str, line: int, column: int) -> str:
    """The head of a table's column. line: where a row of it begins. column: 1 for the first."""
    head = line
    while head > 0 and text.startswith("|", above := text.rfind("\n", 0, head - 1) + 1):
        head = above
    cells = text[head : text.find("\n", head)].split("|")
    return cells[column] if head < line and column < len(cells) else ""
