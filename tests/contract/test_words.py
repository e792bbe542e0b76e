"""Word search, the same on SQLite (FTS5) and on Postgres."""

import random

import pytest

from maisale.backends.fts5 import FTS5Index
from maisale.backends.postgres import PostgresDatabase
from maisale.backends.postgres_words import PostgresWords
from maisale.backends.sqlite import SQLiteDatabase
from maisale.records import PUBLIC_TENANT, Chunk, SearchFilter
from maisale.store.schema import MIGRATIONS

pytestmark = pytest.mark.contract

HERE = SearchFilter(("tenant-a",), ("policies",))


def chunk(key, text, tenant="tenant-a", collection="policies", **more):
    more.setdefault("document_id", key.split("#")[0])
    return Chunk(key, tenant, collection, more.pop("title", ""), text, 0, 50, 0.0, **more)


def words_of(db):
    return (PostgresWords if isinstance(db, PostgresDatabase) else FTS5Index)(db)


@pytest.fixture
def index(db):
    made = words_of(db)
    made.db = db
    made.added = lambda *chunks: db.write(lambda tx: made.add(tx, chunks))
    made.removed = lambda *keys, kind="documents": db.write(lambda tx: made.remove(tx, "tenant-a", kind, keys))
    return made


def another(index):
    """As another process has it."""
    return words_of(index.db)


def found(index, question, where=HERE, kind="documents"):
    return [hit.key for hit in index.search(kind, where, [(question, 1.0)], 20)]


def test_nothing_indexed_finds_nothing(index):
    assert found(index, "warranty") == []


def test_the_best_chunk_comes_first(index):
    index.added(chunk("a#chunk_0", "The warranty lasts 24 months."), chunk("b#chunk_0", "Months of rain."), chunk("c#chunk_0", "Opening hours."))
    assert found(index, "How many months is the warranty?") == ["a#chunk_0", "b#chunk_0"]


def test_both_find_the_same_of_many_that_fit_about_equally(tmp_path, postgres_url):
    drawn = random.Random(7)
    texts = [" ".join(drawn.choices("pumps valve filter seal motor".split(), [9, 5, 3, 2, 1], k=drawn.randint(5, 60))) for _ in range(400)]
    hits = []
    for db in (SQLiteDatabase(tmp_path / "sqlite.db", MIGRATIONS), PostgresDatabase(postgres_url, MIGRATIONS)):
        index = words_of(db)
        db.write(lambda tx, index=index: index.add(tx, [chunk(f"d{number}#chunk_0", text) for number, text in enumerate(texts)]))
        hits.append([index.search("documents", HERE, [(question, 1.0)], 10) for question in ("seal of the motor", "filter the pump valves")])
        db.close()
    assert hits[0] == hits[1] and all(len(found) == 10 for found in hits[0])


def test_marks_are_not_needed(index):
    index.added(chunk("a#chunk_0", "Đường dây nóng bảo hành"))
    assert found(index, "duong day nong") == found(index, "Đường dây nóng") == ["a#chunk_0"]


def test_stems_find_other_endings(index):
    index.added(chunk("a#chunk_0", "Customers are returning purifiers."))
    (hit,) = index.search("documents", HERE, [("When may a customer return a purifier?", 1.0)], 5)
    assert hit.stems > 0.3 and hit.words == 0


def test_word_pairs_lift_the_chunk_that_keeps_the_order(index):
    index.added(chunk("a#chunk_0", "hành bảo lọc nước máy"), chunk("b#chunk_0", "máy lọc nước bảo hành"))
    assert found(index, "bảo hành máy lọc nước")[0] == "b#chunk_0"


def test_title_and_heading_are_found(index):
    index.added(chunk("a#chunk_0", "14 days.", title="Chính sách", heading="Đổi trả"))
    assert found(index, "chinh sach doi tra") == ["a#chunk_0"]


def test_another_tenant_sees_nothing(index):
    index.added(chunk("a#chunk_0", "warranty"))
    assert found(index, "warranty", SearchFilter(("tenant-b",), ("policies",))) == []


def test_another_collection_or_document_is_not_searched(index):
    index.added(chunk("a#chunk_0", "warranty"), chunk("b#chunk_0", "warranty", collection="prices"))
    assert found(index, "warranty") == ["a#chunk_0"]
    assert found(index, "warranty", SearchFilter(("tenant-a",), ("policies", "prices"), ("b",))) == ["b#chunk_0"]
    assert found(index, "warranty", SearchFilter(("tenant-a",), ())) == []


def test_public_chunks_are_found_beside_the_tenants_own(index):
    index.added(chunk("a#chunk_0", "warranty here"), chunk("p#chunk_0", "warranty there", tenant=PUBLIC_TENANT, collection="help"))
    assert set(found(index, "warranty", SearchFilter(("tenant-a", PUBLIC_TENANT), ("policies", "help")))) == {"a#chunk_0", "p#chunk_0"}


def test_messages_have_an_index_of_their_own(index):
    index.added(chunk("m#chunk_0", "warranty", document_id=None, message_id="m"))
    assert found(index, "warranty") == []
    assert found(index, "warranty", kind="messages") == ["m#chunk_0"]


def test_adding_a_key_again_replaces_it(index):
    index.added(chunk("a#chunk_0", "warranty"))
    index.added(chunk("a#chunk_0", "returns"))
    assert (found(index, "warranty"), found(index, "returns")) == ([], ["a#chunk_0"])


def test_a_removed_chunk_is_gone_and_removing_it_again_is_harmless(index):
    index.added(chunk("a#chunk_0", "warranty"), chunk("b#chunk_0", "warranty"))
    index.removed("a#chunk_0")
    index.removed("a#chunk_0")
    assert found(index, "warranty") == ["b#chunk_0"]


def test_what_is_rolled_back_is_not_indexed(index, db):
    def work(tx):
        index.add(tx, [chunk("a#chunk_0", "warranty")])
        raise ValueError("no")

    with pytest.raises(ValueError):
        db.write(work)
    assert found(index, "warranty") == []


def test_a_score_is_a_share_of_what_the_question_could_reach(index):
    index.added(chunk("a#chunk_0", "warranty purifier"), chunk("b#chunk_0", "opening hours"))
    (hit,) = index.search("documents", HERE, [("warranty purifier", 1.0)], 5)
    assert 0.4 < hit.words <= 1


def test_irregular_forms_find_each_other(index):
    index.added(chunk("a#chunk_0", "The works began in May."), chunk("b#chunk_0", "It was sent to the children."))
    assert found(index, "When do works begin?")[0] == "a#chunk_0"
    assert found(index, "Who sends a child?") == ["b#chunk_0"]


def test_chunks_found_elsewhere_get_the_same_scores(index):
    index.added(chunk("a#chunk_0", "The warranty lasts."), chunk("b#chunk_0", "warranty", collection="prices"))
    parts = [("warranty", 1.0), ("lasting", 0.5)]
    (hit,) = index.search("documents", HERE, parts, 5)
    assert index.scores("documents", HERE, parts, ["a#chunk_0", "b#chunk_0", "none"]) == {"a#chunk_0": hit}


def test_an_earlier_turn_counts_by_its_weight(index):
    index.added(chunk("a#chunk_0", "warranty"), chunk("b#chunk_0", "returns"))
    hits = {hit.key: hit for hit in index.search("documents", HERE, [("returns", 1.0), ("warranty", 0.3)], 5)}
    assert hits["b#chunk_0"].words > hits["a#chunk_0"].words > 0


def test_rare_words_weigh_more_and_absent_ones_most(index):
    index.added(*(chunk(f"d{n}#chunk_0", "purifier filter" if n else "purifier warranty") for n in range(9)))
    idf = index.idf("documents", ("tenant-a", "tenant-b"), ["purifier", "warranty", "moon"])
    assert 0 <= idf["purifier"] < idf["warranty"] < idf["moon"]


@pytest.mark.parametrize(
    "text", ["", '"', "' OR 1=1 --", "NEAR(a b)", "body:x* AND", "(((", "\0", "place : zc", "*", "-- {body} ^a + b", "日本語", "a" * 30_000, "word " * 6000]
)
def test_any_text_can_be_asked(index, text):
    index.added(chunk("a#chunk_0", "warranty"))
    assert isinstance(found(index, text), list)


# (words, stems) of each hit, as the formulas gave them before they were made faster.
SCORES = {
    "en": {"a": (0.61056883, 0.642561951), "b": (0.0, 0.298179089), "e": (0.058159293, 0.114884216), "d": (0.056098054, 0.110812573)},
    "vi": {"c": (0.49486746, 0.0)},
    "follow-up": {"a": (0.154302902, 0.408529822), "b": (0.134268057, 0.374915941), "d": (0.083064442, 0.123823172), "e": (0.023168096, 0.043136612)},
}


def test_scores_of_a_small_library_stay_what_they_were(index):
    index.added(
        chunk("a#chunk_0", "The warranty of the water purifier lasts 24 months; filters are excluded from the warranty.", title="Warranty"),
        chunk("b#chunk_0", "Customers are returning purifiers within 14 days when the box is unopened.", title="Returns", heading="Returns > Purifiers"),
        chunk("c#chunk_0", "Máy lọc nước RO-9 được bảo hành 24 tháng, lõi lọc nước không được bảo hành.", title="Bảo hành"),
        chunk("d#chunk_0", "Opening hours: the shop opens at eight. Water is served. " * 8, collection="prices"),
        chunk("e#chunk_0", "water", collection="prices"),
    )
    everywhere = SearchFilter(("tenant-a",), ("policies", "prices"))
    asked = {
        "en": [("How long is the warranty of the water purifier?", 1.0)],
        "vi": [("máy lọc nước bảo hành bao lâu", 1.0)],
        "follow-up": [("and returned purifiers?", 1.0), ("warranty of water filters", 0.5), ("opening hours", 0.3)],
    }
    found = {
        name: {hit.key[0]: (round(hit.words, 9), round(hit.stems, 9)) for hit in index.search("documents", everywhere, parts, 20)}
        for name, parts in asked.items()
    }
    assert found == SCORES


def test_a_row_that_comes_where_nobody_may_look_stays_unseen_at_once(index):
    index.added(chunk("a#chunk_0", "warranty"))
    assert found(index, "warranty") == ["a#chunk_0"]
    other = another(index)  # another process indexes; this one's counts still say that the filter holds every row
    index.db.write(lambda tx: other.add(tx, [chunk("b#chunk_0", "warranty", collection="private")]))
    assert found(index, "warranty") == ["a#chunk_0"]


@pytest.mark.parametrize("where", [HERE, SearchFilter(("tenant-a",), ("policies", "prices"))], ids=["some collections", "all"])
def test_what_another_process_indexes_is_found_at_once(index, where):
    index.added(chunk("a#chunk_0", "warranty"), chunk("p#chunk_0", "prices", collection="prices"))
    assert found(index, "warranty", where) == ["a#chunk_0"]
    other = another(index)
    index.db.write(lambda tx: other.add(tx, [chunk("b#chunk_0", "warranty")]))
    assert set(found(index, "warranty", where)) == {"a#chunk_0", "b#chunk_0"}


def test_renamed_chunks_are_found_under_their_new_keys(index, db):
    index.added(chunk("coming#chunk_0", "warranty"), chunk("coming#chunk_1", "warranty card"), chunk("comingled#chunk_0", "returns"))
    db.write(lambda tx: index.rename(tx, "tenant-a", "documents", "coming#", "a#"))
    assert set(found(index, "warranty")) == {"a#chunk_0", "a#chunk_1"}
    assert found(index, "returns") == ["comingled#chunk_0"]


def test_chunks_of_one_beginning_go_a_part_at_a_time(index, db):
    index.added(*(chunk(f"a#chunk_{n}", "warranty") for n in range(5)), chunk("b#chunk_0", "warranty"))
    removed = [db.write(lambda tx: index.remove_some(tx, "tenant-a", "documents", "a#", 3)) for _ in range(3)]
    assert removed == [3, 2, 0] and found(index, "warranty") == ["b#chunk_0"]


def test_a_dropped_index_finds_nothing_and_is_made_anew(index, db):
    index.added(chunk("a#chunk_0", "warranty"))
    db.write(lambda tx: index.drop(tx, "tenant-a", "documents"))
    assert found(index, "warranty") == [] and index.lost("tenant-a", "documents", ["a#chunk_0"]) == ["a#chunk_0"]
    index.added(chunk("a#chunk_0", "warranty"))
    assert found(index, "warranty") == ["a#chunk_0"] and index.lost("tenant-a", "documents", ["a#chunk_0"]) == []


def test_chunks_are_found_by_all_of_their_words_or_not_at_all(index, db):
    index.added(
        chunk("a#chunk_0", "Pumps began to run in March; it's 4 °C."),
        chunk("b#chunk_0", "Máy bơm chạy từ tháng ba."),
        chunk("c#chunk_0", "Pumps began to leak."),
        chunk("d#chunk_0", "Pumps began to run.", tenant="tenant-b"),
    )
    asked = {"a#chunk_0": ["pumps", "began", "march", "4", "c"], "b#chunk_0": ["may", "bom", "thang"], "c#chunk_0": ["pumps", "run"], "d#chunk_0": ["pumps"]}
    assert index.found("tenant-a", "documents", asked) == {"a#chunk_0", "b#chunk_0"}
    assert index.found("tenant-b", "documents", asked) == {"d#chunk_0"}
    assert index.found("tenant-a", "documents", {}) == index.found("tenant-a", "messages", asked) == set()
    index.removed("a#chunk_0")
    assert index.found("tenant-a", "documents", asked) == {"b#chunk_0"}
    assert another(index).found("tenant-a", "documents", asked) == {"b#chunk_0"}


@pytest.mark.parametrize("structure", ["words", "stems"])
def test_what_one_structure_lost_is_not_found(index, db, structure):
    index.added(chunk("a#chunk_0", "Pumps began to run."), chunk("b#chunk_0", "Pumps began to leak."))
    if isinstance(db, PostgresDatabase):
        db.write(lambda tx: tx.execute(f"""UPDATE "words documents tenant-a" SET {structure} = '' WHERE key = 'a#chunk_0'"""))
    else:
        name = f"words:documents:tenant-a:{structure}"
        row = db.rows("SELECT id, body, place FROM \"words:documents:tenant-a\" WHERE key = 'a#chunk_0'")[0]
        db.write(lambda tx: tx.execute(f'INSERT INTO "{name}"("{name}", rowid, body, place) VALUES (\'delete\', :id, :body, :place)', **row))
    assert index.found("tenant-a", "documents", {key: ["pumps", "began"] for key in ("a#chunk_0", "b#chunk_0")}) == {"b#chunk_0"}


def test_what_no_search_finds_is_told(index):
    index.added(chunk("a#chunk_0", "warranty"))
    assert index.lost("tenant-a", "documents", ["a#chunk_0", "b#chunk_0"]) == ["b#chunk_0"]
