"""Secrets that stand in Vault, against a server that speaks its protocol: what is fetched, how its token is kept, and what is said of each failure."""

import logging
import os
from dataclasses import replace

import httpx
import pytest
import trustme
from fake_vault import FakeVault
from running import RunningApp

from maisale.backends.vault import VaultKV
from maisale.child import environment
from maisale.config import from_env
from maisale.errors import Misconfigured
from maisale.references import VaultAccess, parse
from maisale.services import read_settings

KEY = "an-admin-key-that-vault-keeps"
LONG_S = 5  # what a test waits at most for the thread that keeps the token


@pytest.fixture
def vault():
    with FakeVault() as serving:
        serving.secrets["secret/maisale"] = {"admin": KEY, "database": "sqlite:////srv/kept.db", "empty": " ", "number": 7}
        yield serving


def environ(vault, reference="vault:secret/maisale#admin", name="X_API_KEY_ADMIN", **others):
    token = {} if "VAULT_ROLE_ID" in others else {"VAULT_TOKEN": "hvs.root-of-the-test-vault"}
    return {"VAULT_ADDR": vault.url, name: reference, **token, **others}


def refusal(given, folder):
    with pytest.raises(Misconfigured) as refused:
        read_settings(given, folder)
    return str(refused.value)


@pytest.mark.parametrize("reference", ["vault:secret/maisale#admin", "vault:maisale#admin", "vault:/secret/maisale#admin"])
def test_a_reference_is_fetched(vault, tmp_path, reference):
    settings = read_settings(environ(vault, reference), tmp_path)
    assert settings.admin_key == KEY and KEY not in repr(settings)


def test_a_reference_in_dotenv_and_a_token_in_a_file_are_taken_too(vault, tmp_path):
    (tmp_path / "token").write_text(vault.make_token() + "\n")
    (tmp_path / ".env").write_text(f"X_API_KEY_ADMIN=vault:maisale#admin\nVAULT_ADDR={vault.url}\nVAULT_TOKEN_FILE={tmp_path / 'token'}\n")
    assert read_settings({}, tmp_path).admin_key == KEY


def test_the_address_of_the_database_may_stand_there_too(vault, tmp_path):
    assert read_settings(environ(vault, "vault:maisale#database", "DATABASE_URL"), tmp_path).sqlite_path.name == "kept.db"


def test_another_mount_and_a_namespace_are_asked(tmp_path):
    with FakeVault(namespace="team-a/") as vault:
        vault.secrets["kv/chat/prod"] = {"admin": KEY}
        given = environ(vault, "vault:kv/chat/prod#admin")
        assert read_settings({**given, "VAULT_NAMESPACE": "team-a/"}, tmp_path).admin_key == KEY
        assert "nothing is at kv/chat/prod" in refusal(given, tmp_path)


def test_an_approle_logs_in_once_for_all_references(vault, tmp_path):
    role_id, secret_id = vault.make_role(ttl_s=3600)
    given = environ(vault, VAULT_ROLE_ID=role_id, VAULT_SECRET_ID=secret_id, DATABASE_URL="vault:maisale#database")
    assert read_settings(given, tmp_path).admin_key == KEY
    assert vault.logins == 1


def test_https_needs_the_authority_that_signed(tmp_path):
    authority = trustme.CA()
    chain = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(chain)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with FakeVault(chain) as vault:
        vault.secrets["secret/maisale"] = {"admin": KEY}
        assert read_settings(environ(vault, VAULT_CACERT=str(tmp_path / "ca.pem")), tmp_path).admin_key == KEY
        assert "Set VAULT_CACERT" in refusal(environ(vault), tmp_path)
        assert "which cannot be read" in refusal(environ(vault, VAULT_CACERT=str(tmp_path / "nowhere.pem")), tmp_path)


def sealed(vault):
    vault.sealed = True


REFUSED = [
    ("vault:secret/other#admin", {}, None, "nothing is at secret/other"),
    ("vault:secret/data/maisale#admin", {}, None, "written without data/"),
    ("vault:maisale#missing", {}, None, "the field 'missing' of secret/maisale does not exist"),
    ("vault:maisale#empty", {}, None, "is empty or no text"),
    ("vault:maisale#number", {}, None, "is empty or no text"),
    ("vault:nowhere/maisale#admin", {}, None, "may not read nowhere/maisale"),
    ("vault:maisale-of-the-team", {}, None, "names no secret"),
    ("vault:secret/maisale", {}, None, "names no secret"),
    ("vault:#admin", {}, None, "names no secret"),
    ("vault:../maisale#admin", {}, None, "names no secret"),
    ("vault:maisale#admin", {"VAULT_TOKEN": "hvs.of-somebody-else"}, None, "the token is not valid"),
    ("vault:maisale#admin", {"VAULT_TOKEN": ""}, None, "VAULT_TOKEN is not set"),
    ("vault:maisale#admin", {"VAULT_ADDR": ""}, None, "VAULT_ADDR is not set"),
    ("vault:maisale#admin", {"VAULT_ADDR": "vault:8200"}, None, "VAULT_ADDR is"),
    ("vault:maisale#admin", {"VAULT_ADDR": "http://127.0.0.1:9"}, None, "cannot be reached"),
    ("vault:maisale#admin", {"VAULT_TOKEN": "vault:maisale#admin"}, None, "VAULT_TOKEN refers to Vault"),
    ("vault:maisale#admin", {"VAULT_ROLE_ID": "role", "VAULT_SECRET_ID": "of-somebody-else"}, None, "VAULT_ROLE_ID or VAULT_SECRET_ID is not valid"),
    ("vault:maisale#admin", {}, sealed, "sealed"),
    ("vault:maisale#admin", {}, lambda vault: vault.deleted.add("secret/maisale"), "its latest version was deleted"),
    ("vault:maisale#admin", {}, lambda vault: vault.first_version.add("secret"), "The engine has to be of version 2"),
]


@pytest.mark.parametrize("reference, others, break_it, words", REFUSED)
def test_what_cannot_be_fetched_is_said_in_one_sentence_without_a_secret(vault, tmp_path, reference, others, break_it, words):
    if break_it:
        break_it(vault)
    said = refusal(environ(vault, reference, **others), tmp_path)
    assert words in said and "\n" not in said and said.startswith(("X_API_KEY_ADMIN", "VAULT_"))
    assert KEY not in said and "hvs." not in said and "of-somebody-else" not in said


def test_an_engine_of_version_1_with_a_folder_called_data_is_recognised(vault, tmp_path):
    vault.first_version.add("secret")
    vault.secrets["secret/data/maisale"] = {"admin": KEY}
    assert "enable-versioning secret" in refusal(environ(vault), tmp_path)


def test_a_used_up_secret_id_is_refused(vault, tmp_path):
    role_id, secret_id = vault.make_role(uses=1)
    given = environ(vault, VAULT_ROLE_ID=role_id, VAULT_SECRET_ID=secret_id)
    assert read_settings(given, tmp_path).admin_key == KEY
    assert "was used up" in refusal(given, tmp_path)


def test_a_key_from_vault_that_is_too_short_is_not_repeated(vault, tmp_path):
    vault.secrets["secret/maisale"]["admin"] = "shortkey"
    said = refusal(environ(vault), tmp_path)
    assert "has 8 characters" in said and "shortkey" not in said


def test_a_model_may_be_called_vault(tmp_path):
    assert read_settings({"GENERATION_MODEL": "vault:7b"}, tmp_path).generation_model == "vault:7b"
    assert parse("vault:7b") is None


def test_nothing_is_asked_of_a_vault_that_no_setting_refers_to(tmp_path):
    assert read_settings({"VAULT_ADDR": "http://127.0.0.1:9", "VAULT_TOKEN": "hvs.x"}, tmp_path).vault is None


def test_reading_the_settings_alone_says_that_vault_is_not_asked(vault, tmp_path):
    with pytest.raises(Misconfigured, match="X_API_KEY_ADMIN refers to Vault"):
        from_env(environ(vault), tmp_path)


def kept(vault, **access):
    """A vault that was read once and whose token is kept."""
    opened = VaultKV(VaultAccess(vault.url, **access))
    assert opened.read(parse("vault:maisale#admin")) == KEY
    opened.keep()
    return opened


def test_a_token_is_renewed_before_its_lease_ends(vault):
    token = vault.make_token(ttl_s=1)
    opened = kept(vault, token=token)
    for _ in range(3):
        assert vault.renewed.acquire(timeout=LONG_S)
    assert vault.tokens[token].left_s > 0
    opened.close()


def test_a_token_without_an_end_is_left_alone(vault):
    opened = kept(vault, token="hvs.root-of-the-test-vault")
    opened._keeper.join(LONG_S)
    assert not opened._keeper.is_alive() and not vault.renewed.acquire(blocking=False)
    opened.close()


def test_an_approle_logs_in_again_when_its_token_cannot_be_renewed(vault):
    role_id, secret_id = vault.make_role(ttl_s=1, renewable=False)
    opened = kept(vault, role_id=role_id, secret_id=secret_id)
    for _ in range(2):
        assert vault.logged_in.acquire(timeout=LONG_S)
    assert vault.refused.acquire(timeout=LONG_S)
    opened.close()


def test_an_approle_logs_in_again_when_its_token_nears_its_longest_life(vault):
    role_id, secret_id = vault.make_role(ttl_s=1, most_s=2)
    opened = kept(vault, role_id=role_id, secret_id=secret_id)
    for _ in range(2):
        assert vault.logged_in.acquire(timeout=LONG_S)
    opened.close()


def test_a_token_that_cannot_be_renewed_is_said_once_and_left(vault, caplog):
    token = vault.make_token(ttl_s=1, renewable=False)
    opened = kept(vault, token=token)
    opened._keeper.join(LONG_S)
    (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "VAULT_TOKEN is not renewed any more: it cannot be renewed (400)" in said and token not in caplog.text
    opened.close()


def test_neither_secret_nor_token_is_in_a_log_or_a_repr(vault, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    role_id, secret_id = vault.make_role(ttl_s=1)
    settings = read_settings(environ(vault, VAULT_ROLE_ID=role_id, VAULT_SECRET_ID=secret_id), tmp_path)
    settings.vault.keep()
    assert vault.renewed.acquire(timeout=LONG_S)
    settings.vault.close()
    told = caplog.text + repr(settings) + repr(settings.vault) + repr(settings.vault._access)
    for secret in (KEY, secret_id, role_id, *vault.tokens):
        assert secret not in told


@pytest.mark.parametrize("url", ["sqlite:////srv/kept.db", "postgres://maisale:kept.db@db.lan/maisale"], ids=["sqlite", "postgres"])
def test_the_worker_gets_the_reference_and_not_the_secret(vault, tmp_path, monkeypatch, url):
    vault.secrets["secret/maisale"]["database"] = url
    for name, value in environ(vault, "vault:maisale#database", "DATABASE_URL").items():
        monkeypatch.setenv(name, value)
    settings = read_settings(os.environ, tmp_path)
    handed = environment(settings)
    assert handed["DATABASE_URL"] == "vault:maisale#database" and "kept.db" not in " ".join(handed.values())
    assert read_settings(handed, tmp_path).database_url == settings.database_url and "kept.db" not in repr(settings)


def test_what_was_chosen_in_the_place_of_a_mounted_secret_is_what_the_worker_gets(tmp_path, monkeypatch):
    (tmp_path / "url").write_text("sqlite:////srv/kept.db")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    settings = read_settings(os.environ, tmp_path)
    assert "DATABASE_URL" not in environment(settings) and environment(settings)["DATABASE_URL_FILE"] == str(tmp_path / "url")
    handed = environment(replace(settings, database_url="sqlite:////srv/other.db"))
    assert handed["DATABASE_URL"] == "sqlite:////srv/other.db" and "DATABASE_URL_FILE" not in handed


def test_the_app_and_its_worker_start_with_what_vault_keeps(vault, tmp_path):
    role_id, secret_id = vault.make_role(ttl_s=3600)
    given = environ(vault, VAULT_ROLE_ID=role_id, VAULT_SECRET_ID=secret_id)
    with RunningApp(tmp_path, KNOWLEDGE_DIR=str(tmp_path / "none"), **given) as app:
        assert httpx.get(f"{app.url}/v1/me", headers={"X-API-Key": KEY}).status_code == 200
        assert app.worker_pids()
    assert KEY not in app.log.read_text() and secret_id not in app.log.read_text()
    assert vault.logins == 1  # the worker does not need the admin's key


def test_a_start_without_vault_ends_in_one_sentence(tmp_path):
    app = RunningApp(tmp_path, X_API_KEY_ADMIN="vault:maisale#admin", VAULT_ADDR="http://127.0.0.1:9", VAULT_TOKEN="hvs.of-this-test")
    ended = app.command("doctor")
    assert ended.returncode == 1 and ended.stdout == "" and len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("X_API_KEY_ADMIN cannot be fetched from Vault: http://127.0.0.1:9 cannot be reached.")
