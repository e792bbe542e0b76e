"""Scores, boosts, cuts and the judge."""

from dataclasses import replace

import pytest

from maisale.flow import ranking
from maisale.flow.reading import Reader
from maisale.records import Candidate, Chunk

NOW = 1_800_000_000.0
YEAR_S = 365 * 86_400


def candidate(key, text="The warranty lasts 24 months.", words=0.5, collection="policies", age_s=YEAR_S, tokens=50, **more):
    chunk = Chunk(key, "t", collection, "", text, 0, tokens, NOW - age_s, document_id=key)
    return Candidate(chunk, **{"vector_score": 0.3, "word_score": words, "stem_score": words, **more})


def ranked(*candidates, asked="How long is the warranty?"):
    reader = Reader(ranking.read_question(asked, []), {})
    return ranking.rank(candidates, reader, "hash-1024", "talk", NOW)


def test_fusion_weights_sum_to_one():
    assert all(one.words + one.stems + one.vector == pytest.approx(1) for one in ranking.FUSION.values())


def test_every_language_and_embedder_has_its_thresholds():
    assert ranking.FUSION.keys() == ranking.GATES.keys()
    assert all(0 < gate.possible < gate.answer < 1 for gate in ranking.GATES.values())


def test_of_two_equal_passages_the_newer_comes_first():
    assert [one.chunk.key for one in ranked(candidate("a"), candidate("b", age_s=86_400))] == ["b", "a"]


def test_freshness_never_beats_relevance():
    assert ranked(candidate("old", words=0.6), candidate("new", words=0.5, age_s=0))[0].chunk.key == "old"


def test_this_conversations_own_chunks_are_lifted_and_not_judged_better():
    first, second = ranked(candidate("a"), candidate("b", collection="talk"))
    assert (first.chunk.key, first.boost) == ("b", ranking.SAME_CONVERSATION)
    assert first.relevance == second.relevance


def test_twenty_versions_of_one_report_do_not_hide_each_other():
    versions = ranked(*(candidate(f"week-{number}", words=0.9) for number in range(20)))
    assert ranking.judge(versions, "en", "hash-1024")[0] == "answer"


def test_a_passage_that_does_not_stand_out_answers_less_surely():
    crowd = [candidate(f"k{number}", "Opening hours of the shop.", words=0.2) for number in range(20)]
    alone, among = (ranking.judge(ranked(candidate("a"), *others), "en", "hash-1024")[1] for others in ([], crowd))
    assert among < alone


def test_a_near_duplicate_is_used_once():
    text = "The RO-9 water purifier is under warranty for 24 months from the day of purchase. " * 3
    used = ranking.choose(ranked(candidate("a", text), candidate("b", text + "Really.")), 3, 10, 5000)
    assert [one.reason for one in used] == ["", "near_duplicate"]


def test_passages_are_numbered_by_rank_and_the_others_say_why_not():
    texts = ["The warranty lasts 24 months.", "A warranty of filters is not given.", "Warranty cards are green.", "Ask for warranty at the shop."]
    chosen = ranking.choose(
        ranked(*(candidate(f"k{n}", text, words=0.9 - n / 100) for n, text in enumerate(texts)), candidate("far", "Hours", words=0.01)), 2, 3, 5000
    )
    assert sorted(one.number for one in chosen if one.number) == [1, 2, 3]
    assert {one.reason for one in chosen} == {"", "over_k", "below_cut"}


def test_the_token_budget_holds():
    chosen = ranking.choose(ranked(candidate("a", words=0.9, tokens=300), candidate("b", "Warranty of 12 months.", tokens=300)), 3, 10, 400)
    assert [one.reason for one in chosen] == ["", "budget"]


@pytest.mark.parametrize(("words", "near", "outcome"), [(0.9, 0.6, "answer"), (0.3, 0.2, "possible"), (0.02, 0.1, "abstain")])
def test_the_judge_reads_relevance(words, near, outcome):
    text = "The warranty lasts long." if outcome == "answer" else "Opening hours."
    assert ranking.judge(ranked(candidate("a", text, words=words, vector_score=near)), "en", "hash-1024")[0] == outcome


def test_what_is_near_in_meaning_alone_is_possibly_related():
    passages = [candidate("a", "Removing chats.", words=0.0, vector_score=0.0), candidate("b", "Opening hours.", words=0.02)]
    found = ranked(*passages, asked="How do I erase a chat?")
    assert found[0].chunk.key == "a" and found[0].meaning_score > ranking.NEAR["en"] > found[1].meaning_score
    assert ranking.judge(found, "en", "hash-1024")[0] == "possible"
    assert ranking.judge([replace(one, meaning_score=0.0) for one in found], "en", "hash-1024")[0] == "abstain"


def test_meanings_do_not_move_the_order_after_earlier_turns_nor_beside_a_models_vectors():
    passages = [candidate("a", "To delete a conversation, press the trash can.", words=0.0), candidate("b", "Opening hours.", words=0.01)]
    reader = Reader(ranking.read_question("How do I erase a chat?", ["What is a chat?"]), {})
    assert [one.score for one in ranking.rank(passages, reader, "hash-1024", "talk", NOW)] == [
        one.relevance + one.freshness for one in ranking.rank(passages, reader, "hash-1024", "talk", NOW)
    ]
    alone = Reader(ranking.read_question("How do I erase a chat?", []), {})
    assert {one.meaning_score for one in ranking.rank(passages, alone, "bge-m3", "talk", NOW)} == {0.0}


def test_nothing_is_judged_nothing():
    assert ranking.judge([], "vi", "") == ("abstain", 0.0)


@pytest.mark.parametrize(
    ("asked", "dependent"),
    [
        ("and for a service?", True),
        ("What about filters?", True),
        ("How long does it last when used in a hotel?", True),
        ("thế còn lõi lọc thì sao?", True),
        ("How long is the warranty of the RO-9 water purifier in Hanoi?", False),
        ("Máy lọc nước RO-9 được bảo hành trong thời gian bao lâu?", False),
    ],
)
def test_follow_ups_are_told_from_questions_of_their_own(asked, dependent):
    assert ranking.read_question(asked, ["Tell me about the RO-9."]).dependent is dependent


def test_a_first_question_depends_on_nothing():
    question = ranking.read_question("Why?", [])
    assert (question.dependent, question.parts) == (False, (("Why?", 1.0),))


def test_a_bare_follow_up_keeps_the_language_of_the_conversation():
    assert ranking.read_question("RO-9?", ["Giá máy lọc nước là bao nhiêu?"]).language == "vi"
