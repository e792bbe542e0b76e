"""What a deletion leaves: answers without what they rested on, the other turns, and the list outside of the database."""

import pytest
from desk import QUESTION, WARRANTY, Desk

from maisale.chat.ask import title_of
from maisale.errors import NotFound
from maisale.library import deletion_list
from maisale.library.deletion import delete_turn, remove_document
from maisale.store import accounts, conversations

STAYS = "# Filters\n\nThe Brackenwald filter of the softener lasts six months and costs 400,000 dong."


@pytest.fixture
def desk(services, tmp_path):
    made = Desk(services, tmp_path)
    made.add("filters.md", STAYS)
    return made


def test_an_answer_that_rested_on_it_says_so_and_another_keeps_its_words(desk):
    document = desk.add("seals.md", WARRANTY)
    rests, other = desk.ask(QUESTION), desk.ask("How long does the Brackenwald filter last?")
    before = conversations.get_reply(desk.services.db, desk.user.scope, other.reply_id)
    remove_document(desk.services, desk.user.scope, document)
    reply = conversations.get_reply(desk.services.db, desk.user.scope, rests.reply_id)
    assert "was deleted" in reply.text and reply.citations == () and reply.trace.candidates is not None
    assert conversations.get_reply(desk.services.db, desk.user.scope, other.reply_id).text == before.text


def test_a_turn_is_only_its_owners_to_delete_and_later_turns_stay(desk):
    ack = desk.ask("Who made the purifier?")
    later = desk.ask("How long does the Brackenwald filter last?", conversation_id=ack.conversation_id)
    other = desk.services.db.write(lambda tx: accounts.add_user(tx, "shop", "Minh"))
    with pytest.raises(NotFound):
        delete_turn(desk.services, other.scope, ack.message_id, title_of)
    delete_turn(desk.services, desk.user.scope, ack.reply_id, title_of)
    said = conversations.messages(desk.services.db, desk.user.scope, ack.conversation_id)
    assert [one.id for one in said] == [later.message_id, later.reply_id]
    assert conversations.get_conversation(desk.services.db, desk.user.scope, ack.conversation_id).title == "How long does the Brackenwald filter last?"


def test_a_title_that_a_person_gave_stays(desk):
    ack = desk.ask("Who made the purifier?")
    desk.services.db.write(lambda tx: conversations.rename_conversation(tx, desk.user.scope, ack.conversation_id, "Purifiers"))
    delete_turn(desk.services, desk.user.scope, ack.message_id, title_of)
    assert conversations.get_conversation(desk.services.db, desk.user.scope, ack.conversation_id).title == "Purifiers"


def test_a_lost_list_of_deletions_is_made_again_and_a_torn_line_harms_no_other(desk):
    settings = desk.services.settings
    first = remove_document(desk.services, desk.user.scope, desk.add("seals.md", WARRANTY))
    place = deletion_list.place(settings)
    place.write_text(place.read_text()[:-20])  # killed while it was written
    second = remove_document(desk.services, desk.user.scope, desk.add("again.md", WARRANTY))
    assert [one.id for one in deletion_list.read(place)] == [second]
    assert deletion_list.bring_up_to_date(desk.services.db, settings) == 1
    assert [one.id for one in deletion_list.read(place)] == [first, second]
