"""What identifies somebody is found in English and Vietnamese, and order numbers, versions and dates are not."""

import json
from collections import Counter
from pathlib import Path

import pytest

from maisale.identifiers import KINDS, could_be, find

LABELLED = [json.loads(line) for line in Path(__file__).with_name("identifiers_labelled.jsonl").read_text("utf-8").splitlines()]
# Measured on the labelled set: precision 1.0 for all but phone (.974), recall 1.0 for all but ip (.958).
LEAST = 0.95


def found(text):
    return [(one.kind, text[one.start : one.end]) for one in find(text)]


@pytest.fixture(scope="module")
def tallies():
    """(kind, right | wrong | missed) -> how many, over the labelled sentences."""
    counted = Counter()
    for row in LABELLED:
        wanted, got = {tuple(one) for one in row["identifiers"]}, set(found(row["text"]))
        for how, some in (("right", wanted & got), ("wrong", got - wanted), ("missed", wanted - got)):
            counted.update((kind, how) for kind, _ in some)
    return counted


def test_the_labelled_set_is_large_and_half_of_it_are_look_alikes():
    assert len(LABELLED) >= 300 and {row["language"] for row in LABELLED} == {"en", "vi"}
    assert 0.4 < sum(not row["identifiers"] for row in LABELLED) / len(LABELLED) < 0.6
    assert min(Counter(kind for row in LABELLED for kind, _ in row["identifiers"])[kind] for kind in KINDS) >= 15


@pytest.mark.parametrize("kind", KINDS)
def test_precision_and_recall_of_each_kind(tallies, kind):
    right, wrong, missed = (tallies[kind, how] for how in ("right", "wrong", "missed"))
    assert right / (right + wrong) >= LEAST and right / (right + missed) >= LEAST, (right, wrong, missed)


@pytest.mark.parametrize(
    ("spellings", "kind"),
    [
        (("+84 912 345 678", "0912.345.678", "0912345678", "0084 912-345-678", "+84 (91) 234 5678"), "phone"),
        (("4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111"), "card"),
        (("DE89 3704 0044 0532 0130 00", "DE89370400440532013000", "de89370400440532013000"), "iban"),
        (("CCCD 001 085 012345", "CCCD: 001085012345"), "citizen_id"),
        (("MST 0100109106-011", "MST: 0100109106 011"), "tax_code"),
        (("2001:db8::5", "2001:0DB8:0:0:0:0:0:5"), "ip"),
        (("Anna@Example.com", "anna@example.com"), "email"),
    ],
)
def test_every_way_to_write_it_is_the_same(spellings, kind):
    (normal,) = {(one.kind, one.normal) for text in spellings for one in find(text)}
    assert normal[0] == kind


def test_a_number_is_named_by_the_head_of_its_column():
    table = "| Tên | CMND | Đơn hàng | SĐT |\n|---|---|---|---|\n| Lan | 024567891 | 0912345678 | 0987654321 |\n| Hoa | 024567892 | 0912345679 | 0987654322 |"
    assert found(table) == [("citizen_id", "024567891"), ("phone", "0987654321"), ("citizen_id", "024567892"), ("phone", "0987654322")]


@pytest.mark.parametrize(
    "text",
    ["Gọi 0912 345 678 0987 654 321", "Gọi 0912345678/0987654321", "Gọi 0912345678, 0987654321", "Gọi 0912345678 hoặc 0987654321 ngày 2024-03-15"],
)
def test_neighbouring_numbers_are_told_apart(text):
    assert [one.normal for one in find(text)] == ["+84912345678", "+84987654321"]


def test_several_kinds_in_one_text_do_not_overlap():
    text = "Anna <anna@example.com>, 0912 345 678, thẻ 4111 1111 1111 1111, MST 0100109106, máy 192.168.1.20"
    kinds = [one.kind for one in find(text)]
    assert kinds == ["email", "phone", "card", "tax_code", "ip"]
    assert all(one.end <= two.start for one, two in zip(find(text), find(text)[1:], strict=False))


def test_a_question_without_the_word_before_it_could_mean_any_of_them():
    assert find("0100109106?") == [] and {one.kind for one in could_be("0100109106?")} == {"tax_code"}
    assert {one.kind for one in could_be("who has 024567891")} == {"citizen_id"}


def test_a_private_key_is_one_secret_to_its_end():
    text = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow3\nab12\n-----END RSA " + "PRIVATE KEY-----\nand so on"
    ((kind, what),) = found(text)
    assert kind == "secret" and what.endswith("KEY-----")


@pytest.mark.parametrize("text", ["", "no number at all", "‹phone zp0123456789abcdefz›", "0" * 5000, "1 2 3 4 5 6 7 8 9 " * 300, "a@" * 2000])
def test_texts_without_any_stay_without(text):
    assert find(text) == []
