"""How often one may ask, at every door, and what wrong keys meet; sessions and their cookies."""

import threading
import time

import httpx
import pytest
from office import ADMIN_KEY, open_office

from maisale.access.gate import COOKIE

RATE = 5


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with open_office(tmp_path_factory.mktemp("limits"), rate_limit=RATE) as opened:
        yield opened


@pytest.fixture
def person(office, request):
    """Somebody who has asked for nothing yet."""
    return office.hire("sales", request.node.name[:80])


def number_of(office, name):
    return next(number for number, function in office.page.fns.items() if function.api_name == name)


DOORS = {
    "rest": lambda office, http: http.post("/v1/conversations", json={}),
    "rest search": lambda office, http: http.get("/v1/search?q=filter"),
    "rest upload": lambda office, http: http.post("/v1/documents", files={"file": ("a.md", b"x")}),
    "rest keys": lambda office, http: http.post("/v1/keys", json={}),
    "rest deletion": lambda office, http: http.delete("/v1/conversations/none"),
    "by name": lambda office, http: http.post("/gradio_api/call/ask", json={"data": ["Hello?", None, None, None]}),
    "by argument": lambda office, http: http.post("/gradio_api/call/v2/search", json={"query": "filter"}),
    "by number": lambda office, http: http.post(
        "/gradio_api/queue/join", json={"fn_index": number_of(office, "new_conversation"), "data": [None], "session_hash": http.headers["x-api-key"][4:20]}
    ),
    "directly": lambda office, http: http.post("/gradio_api/run/predict", json={"fn_index": number_of(office, "new_conversation"), "data": [None]}),
    "upload": lambda office, http: http.post("/gradio_api/upload", files={"files": ("a.md", b"x")}),
}


@pytest.mark.parametrize("door", DOORS)
def test_at_every_door_what_starts_work_is_limited(office, person, door):
    began = time.monotonic()
    answers = [DOORS[door](office, person.http) for _ in range(4 * RATE)]
    took = time.monotonic() - began
    refused = [answer for answer in answers if answer.status_code == 429]
    assert answers[0].status_code < 300 or answers[0].status_code == 404
    assert len(answers) - len(refused) <= RATE * (took + 1)
    assert refused, f"{4 * RATE} in {took:.2f} s were all taken"
    assert refused[0].headers["retry-after"] == "1" and "Try again in 1 s" in refused[0].json()["error"]


def test_all_doors_and_keys_of_a_person_count_together(office, person):
    second = office.key_of(person)
    answers = [door(office, client) for name, door in DOORS.items() for client in (person.http, second) if name != "by number"]
    assert sum(answer.status_code == 429 for answer in answers) > len(answers) // 3


def test_nothing_of_a_refused_request_is_stored(office, person):
    made = [person.http.post("/v1/conversations", json={}).status_code for _ in range(4 * RATE)]
    stored = office.services.db.rows("SELECT count(*) AS n FROM conversations WHERE user_id = :id", id=person.user.id)[0]["n"]
    assert 429 in made and stored == made.count(201)


def test_one_persons_haste_does_not_slow_another(office, person):
    other = office.hire("sales", "calm")
    for _ in range(4 * RATE):
        person.http.post("/v1/conversations", json={})
    assert person.http.post("/v1/conversations", json={}).status_code == 429
    assert other.http.post("/v1/conversations", json={}).status_code == 201


def test_who_waits_as_told_is_served_again(office, person):
    while (answer := person.http.post("/v1/conversations", json={})).status_code != 429:
        pass
    time.sleep(int(answer.headers["retry-after"]))
    assert person.http.post("/v1/conversations", json={}).status_code == 201


def test_reading_has_a_wider_limit_of_its_own(office, person):
    for _ in range(4 * RATE):
        person.http.post("/v1/conversations", json={})
    answers = [person.http.get(path).status_code for path in ("/v1/me", "/v1/conversations", "/v1/documents", "/config") for _ in range(10)]
    assert set(answers) == {200}
    stops = [person.http.post("/v1/replies/none/stop").status_code for _ in range(4 * RATE)]
    assert set(stops) == {404}


def test_reading_is_limited_too(office, person):
    refused = []

    def read():
        client = office.with_key(person.key)
        refused.extend(answer for answer in (client.get("/v1/me") for _ in range(60)) if answer.status_code == 429)

    began = time.monotonic()
    readers = [threading.Thread(target=read) for _ in range(5)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    took = time.monotonic() - began
    assert 300 - len(refused) <= 20 * RATE * (took + 1)
    assert all(answer.headers["retry-after"] == "1" for answer in refused)


def test_a_browsers_calls_count_with_its_keys(office, person):
    browser = office.browser(person.key)
    answers = [browser.post("/v1/conversations", json={}).status_code for _ in range(4 * RATE)]
    assert answers.count(429) and person.http.post("/v1/conversations", json={}).status_code == 429


# Wrong keys


def took_s(call, *arguments, **more):
    began = time.monotonic()
    answer = call(*arguments, **more)
    return time.monotonic() - began, answer


def from_address(office, address, key):
    return httpx.Client(base_url=office.url, headers={"X-API-Key": key}, transport=httpx.HTTPTransport(local_address=address), timeout=20)


def test_wrong_keys_are_answered_later_each_time_and_a_valid_one_at_once(office, person):
    wrong = from_address(office, "127.0.0.2", "msk_" + "0" * 16 + "_" + "x" * 43)
    waits = [took_s(wrong.get, "/v1/me") for _ in range(6)]
    assert {answer.status_code for _, answer in waits} == {401}
    assert [round(wait, 1) >= least for (wait, _), least in zip(waits, (0, 0, 0, 0.2, 0.5, 1.0))] == [True] * 6
    assert min(wait for wait, _ in waits[:3]) < 0.25
    waiting = threading.Thread(target=wrong.get, args=("/v1/me",))
    waiting.start()
    right, answer = took_s(from_address(office, "127.0.0.2", person.key).get, "/v1/me")
    assert answer.status_code == 200 and right < 0.5 and waiting.is_alive()
    waiting.join()


def test_wrong_secrets_of_one_key_are_slowed_from_any_address_and_the_key_is_not(office, person):
    wrong = person.key[:-4] + ("AAAA" if person.key[-4:] != "AAAA" else "BBBB")
    waits = [took_s(from_address(office, f"127.0.0.{10 + number}", wrong).get, "/v1/me")[0] for number in range(5)]
    assert min(waits[:3]) < 0.25 <= waits[3] + 0.01 < waits[4]
    assert took_s(from_address(office, "127.0.0.10", person.key).get, "/v1/me")[0] < 0.2


def test_signing_in_with_wrong_keys_is_slowed_too(office, person):
    client = httpx.Client(base_url=office.url, headers={"Sec-Fetch-Site": "same-origin"}, transport=httpx.HTTPTransport(local_address="127.0.0.3"))
    waits = [took_s(client.post, "/login", data={"key": f"wrong {number}"})[0] for number in range(5)]
    assert min(waits[:3]) < 0.25 and waits[4] > 0.45
    wait, answer = took_s(client.post, "/login", data={"key": person.key})
    assert answer.status_code == 303 and wait < 0.2


# Sessions


def test_a_session_is_stored_as_a_hash_and_ends_after_twelve_hours(office, person):
    browser = office.browser(person.key)
    secret = browser.cookies[COOKIE]
    rows = office.services.db.rows("SELECT * FROM sessions WHERE user_id = :id", id=person.user.id)
    assert len(rows) == 1 and secret not in str(rows[0]) and rows[0]["key_id"] == person.key.split("_")[1]
    assert rows[0]["expires_at"] - rows[0]["created_at"] == pytest.approx(12 * 3600)
    office.services.db.write(lambda tx: tx.execute("UPDATE sessions SET expires_at = expires_at - 43200 WHERE user_id = :id", id=person.user.id))
    assert browser.get("/v1/me").status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403), ({"Origin": "https://elsewhere.example"}, 403), ({}, 403)]
    + [({"Sec-Fetch-Site": "same-origin"}, 201)],
)
def test_another_site_starts_nothing_with_a_persons_cookie(office, person, headers, status):
    cookie = office.browser(person.key).cookies[COOKIE]
    client = office.anyone(Cookie=f"{COOKIE}={cookie}", **headers)
    assert client.post("/v1/conversations", json={}).status_code == status
    assert client.delete("/v1/conversations/none").status_code == (404 if status == 201 else 403)


def cookie_of(office, **headers):
    answer = office.anyone(**{"Sec-Fetch-Site": "same-origin", **headers}).post("/login", data={"key": ADMIN_KEY})
    return {part.strip() for part in answer.headers["set-cookie"].split(";")[1:]}


def test_the_cookie_is_not_for_scripts_nor_for_other_sites(office):
    assert cookie_of(office) == {"HttpOnly", "Max-Age=43200", "Path=/", "SameSite=lax"}


def test_the_cookie_is_secure_where_the_address_is_https(tmp_path):
    with open_office(tmp_path, public_url="https://maisale.example") as office:
        assert cookie_of(office) == {"HttpOnly", "Max-Age=43200", "Path=/", "SameSite=lax", "Secure"}


def test_the_cookie_of_a_space_comes_back_inside_its_frame(tmp_path):
    with open_office(tmp_path, on_space=True) as office:
        assert cookie_of(office) == {"HttpOnly", "Max-Age=43200", "Path=/", "SameSite=None", "Secure", "Partitioned"}
        invited = office.mai.http.post("/v1/users", json={"name": "an"}).json()
        answer = office.anyone(**{"Sec-Fetch-Site": "same-origin"}).post(invited["link"])
        assert "Partitioned" in answer.headers["set-cookie"]
