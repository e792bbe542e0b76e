"""Settings: what the environment, .env and mounted secrets say, and a sentence for each that does not parse."""

from pathlib import Path

import pytest

from maisale.config import LEAD_OUT, Settings, apart, from_env
from maisale.errors import Misconfigured


def test_an_empty_environment_gives_the_defaults(tmp_path):
    assert from_env({}, tmp_path) == Settings()


@pytest.mark.parametrize(
    "host, port, urls",
    [
        ("localhost", "", ("http://127.0.0.1:11434",)),
        ("0.0.0.0", "", ("http://127.0.0.1:11434",)),
        ("0.0.0.0:8080", "", ("http://127.0.0.1:8080",)),
        ("[::]", "", ("http://127.0.0.1:11434",)),
        ("gpu", "9000", ("http://gpu:9000",)),
        ("gpu:8000", "9000", ("http://gpu:8000",)),
        ("http://gpu", "9000", ("http://gpu:9000",)),
        ("https://gpu.example/ollama/", "", ("https://gpu.example:443/ollama",)),
        ("[::1]", "", ("http://[::1]:11434",)),
        ("one, two:2", "", ("http://one:11434", "http://two:2")),
    ],
)
def test_ollamas_host_takes_every_usual_form(tmp_path, host, port, urls):
    assert from_env({"OLLAMA_HOST": host, "OLLAMA_PORT": port}, tmp_path).ollama_urls == urls


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("PORT", "80a", "whole number from 0 to 65535"),
        ("PORT", "70000", "whole number from 0 to 65535"),
        ("WORKERS", "-1", "whole number from 0 to 64"),
        ("WORKERS", "9" * 40, "whole number"),
        ("NUM_CTX", "1.5", "whole number"),
        ("UPLOAD_MB", "0", "whole number from 1"),
        ("VECTORS", "faiss", "one of auto, chroma, pgvector, exact"),
        ("PUBLIC_URL", "chat.example.com", "begins with http"),
        ("DATABASE_URL", "mysql://root:secret@db/x", "sqlite:///PATH"),
        ("REDIS_URL", "http://:secret@redis", "not an address of Redis"),
        ("REDIS_URL", "redis://:secret@redis:port", "not an address of Redis"),
        ("REDIS_URL", "redis://", "not an address of Redis"),
        ("OLLAMA_HOST", "http://", "not an address"),
        ("OLLAMA_HOST", "ftp://gpu", "not an address"),
        ("OLLAMA_HOST", "::", "not an address"),
        ("OLLAMA_HOST", "http://gpu:port", "not an address"),
        ("GENERATION_MODEL", "gpt-oss:120b-cloud", "runs on your own machine"),
    ],
)
def test_a_value_that_does_not_parse_is_named(tmp_path, name, value, words):
    with pytest.raises(Misconfigured, match=words) as refused:
        from_env({name: value}, tmp_path)
    assert name in str(refused.value) and "secret" not in str(refused.value)


def test_a_dotenv_file_is_read_and_the_environment_wins(tmp_path):
    (tmp_path / ".env").write_text("# ours\nexport PORT=8000\nGENERATION_MODEL='qwen3 '\nWORKERS=2\n\nnonsense\n", "utf-8")
    settings = from_env({"WORKERS": "0"}, tmp_path)
    assert (settings.port, settings.generation_model, settings.workers) == (8000, "qwen3", 0)


def test_a_mounted_secret_is_read_from_its_file(tmp_path):
    (tmp_path / "key").write_text("an-admin-key-of-20\n")
    settings = from_env({"X_API_KEY_ADMIN_FILE": str(tmp_path / "key")}, tmp_path)
    assert settings.admin_key == "an-admin-key-of-20"
    assert "an-admin-key-of-20" not in repr(settings)


def test_the_address_of_redis_is_no_secret_to_its_users_and_one_to_logs(tmp_path):
    settings = from_env({"REDIS_URL": "rediss://:a-password@redis.lan/1"}, tmp_path)
    assert settings.redis_url == "rediss://:a-password@redis.lan/1" and "a-password" not in repr(settings)


def test_a_missing_secret_file_is_said(tmp_path):
    with pytest.raises(Misconfigured, match="X_API_KEY_ADMIN_FILE is .*cannot be read"):
        from_env({"X_API_KEY_ADMIN_FILE": str(tmp_path / "nowhere")}, tmp_path)


def test_a_dotenv_file_in_another_encoding_is_said(tmp_path):
    (tmp_path / ".env").write_bytes("PORT=8000 # cổng".encode("utf-16"))
    with pytest.raises(Misconfigured, match="cannot be read"):
        from_env({}, tmp_path)


def test_empty_values_count_as_unset(tmp_path):
    assert from_env({"PORT": "", "DATA_DIR": " ", "OLLAMA_HOST": ""}, tmp_path) == Settings()


def test_a_space_listens_to_everybody(tmp_path):
    settings = from_env({"SPACE_ID": "team/mai-sale"}, tmp_path)
    assert (settings.host, settings.address) == ("0.0.0.0", "http://127.0.0.1:7860")


def test_the_folders_follow_the_data_folder(tmp_path):
    settings = from_env({"DATA_DIR": "/srv/data"}, tmp_path)
    assert settings.sqlite_path == Path("/srv/data/sqlite.db")
    assert (settings.chroma_dir, settings.files_dir) == (Path("/srv/data/chroma_db"), Path("/srv/data/files"))
    assert from_env({"DATABASE_URL": "sqlite:////srv/my.db"}, tmp_path).sqlite_path == Path("/srv/my.db")


ELSEWHERE = [
    ({}, {}),
    ({"OLLAMA_HOST": "0.0.0.0"}, {}),
    ({"OLLAMA_HOST": "http://[::1]:11434, 127.0.0.7"}, {}),
    ({"OLLAMA_HOST": "localhost, 10.0.0.5, gpu.lan:9, 10.0.0.5:9"}, {"models": ("10.0.0.5", "gpu.lan")}),
    ({"OLLAMA_HOST": "localhost.evil.example"}, {"models": ("localhost.evil.example",)}),
    ({"CHROMA_PATH": "http://vectors.lan:8000"}, {"index": ("vectors.lan",)}),
    ({"CHROMA_PATH": "/srv/chroma"}, {}),
    ({"REDIS_URL": "rediss://:secret@redis.lan:6379/1"}, {"redis": ("redis.lan",)}),
    ({"REDIS_URL": "unix:///run/redis.sock?db=1"}, {}),
]


@pytest.mark.parametrize("given, elsewhere", ELSEWHERE)
def test_the_settings_say_what_is_kept_or_asked_on_other_machines(tmp_path, given, elsewhere):
    assert from_env(given, tmp_path).elsewhere == elsewhere


def test_an_instance_of_its_own_is_led_to_nobodys_data(tmp_path):
    theirs = dict.fromkeys(LEAD_OUT, "sqlite:////srv/theirs") | {"DATABASE_URL_FILE": "/run/secrets/database", "RATE_LIMIT": "7"}
    found = from_env(apart(theirs, tmp_path / "own", VECTORS="exact"))
    assert found.sqlite_path == tmp_path / "own" / "sqlite.db" and found.files_dir.is_relative_to(tmp_path / "own")
    assert (found.redis_url, found.chroma_path, found.vectors, found.rate_limit) == ("", "", "exact", 7)
