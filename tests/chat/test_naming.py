"""Documents found by a part of their name."""

import pytest

from conftest import HOA, LINH
from maisale.chat.naming import OFFERED, find_names, ranked
from maisale.errors import NotFound
from maisale.store import conversations, documents


@pytest.fixture
def library(db):
    """The oldest first; far more than are offered."""
    sources = ["Data/titanic.csv", "Hướng dẫn/Quy trình đổi trả.docx", "Data/old-titans.md", *(f"Notes/note-{number}.md" for number in range(60))]

    def work(tx):
        collection = documents.collection_named(tx, LINH, "Kho", "private")
        for number, source in enumerate(sources):
            documents.receive_document(
                tx, LINH, collection, document_id=f"d{number}", title=source.split("/")[1], source=source, media_type="text/plain", size=1, content_hash="x"
            )

    db.write(work)
    return db


def found(db, typed, **where):
    return [one.title for one in find_names(db, LINH, typed, **where)]


@pytest.mark.parametrize(
    ("typed", "titles"),
    [
        ("titan", ["titanic.csv", "old-titans.md"]),
        ("TITANIC.CSV", ["titanic.csv"]),
        ("doi tra", ["Quy trình đổi trả.docx"]),
        ("trình quy", ["Quy trình đổi trả.docx"]),
        ("tanic", []),
        ("huong dan", []),
        ("nothing of this name", []),
        ("?", []),
    ],
)
def test_the_beginning_of_a_name_or_of_its_words_finds_it_with_or_without_marks(library, typed, titles):
    assert found(library, typed) == titles


@pytest.mark.parametrize(("typed", "title"), [("tanic", "titanic.csv"), ("huong dan tra", "Quy trình đổi trả.docx"), ("kho old", "old-titans.md")])
def test_the_middle_of_a_word_a_folder_and_a_collection_find_it_when_asked_so(library, typed, title):
    assert found(library, typed, anywhere=True) == [title]


def test_few_are_offered_and_nothing_typed_offers_the_newest(library):
    assert len(found(library, "note")) == OFFERED == len(found(library, " ")) and found(library, "")[0] == "note-59.md"


def test_another_team_finds_none_of_them_and_a_conversation_is_its_owner_s(library):
    assert find_names(library, HOA, "titan", anywhere=True) == [] == find_names(library, HOA, "")
    conversation = library.write(lambda tx: conversations.new_conversation(tx, LINH, "Mine"))
    assert found(library, "titan", conversation_id=conversation.id)
    with pytest.raises(NotFound):
        find_names(library, HOA, "titan", conversation.id)


def test_signs_alone_are_looked_for_as_they_are():
    assert ranked("(1)")(["report (1).pdf"], []) is not None and ranked("§")(["report.pdf"], []) is None
