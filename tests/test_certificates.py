"""Certificates of the settings: what cannot be used stops the start in one sentence, with the setting's name and the cause."""

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest
from authority import Authority

from maisale import certificates
from maisale.config import Settings, from_env
from maisale.errors import Misconfigured
from maisale.life import Life


@pytest.fixture
def files(tmp_path):
    """Paths by what they are, some of them useless."""
    ca = Authority(tmp_path)
    cert, key = ca.sign("good")
    _, other_key = ca.sign("other")
    made = {"cert": cert, "key": key, "other_key": other_key, "ca": ca.file, "nowhere": str(tmp_path / "nowhere.pem"), "folder": str(tmp_path)}
    torn = Path(cert).read_text().replace("\n", "\nAAAA", 3)
    held = {"text": "no certificate", "empty": "", "torn": torn, "both": Path(key).read_text() + Path(cert).read_text()}
    held["locked"] = Path(key).read_text().replace("BEGIN RSA PRIVATE KEY", "BEGIN ENCRYPTED PRIVATE KEY").replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE")
    held["locked"] = held["locked"].replace("BEGIN EC PRIVATE", "BEGIN ENCRYPTED PRIVATE")
    for name, text in held.items():
        (tmp_path / f"{name}.pem").write_text(text)
        made[name] = str(tmp_path / f"{name}.pem")
    return made | {"pem": Path(cert).read_text()}


# cert, key, client CA, and words of the refusal
REFUSED = [
    ("nowhere", "key", "", "TLS_CERT is '.*nowhere.pem', which cannot be read .No such file or directory."),
    ("cert", "nowhere", "", "TLS_KEY is '.*nowhere.pem', which cannot be read"),
    ("folder", "key", "", "TLS_CERT is .* which cannot be read .Is a directory."),
    ("text", "key", "", "TLS_CERT is .* which holds no certificate in PEM"),
    ("empty", "key", "", "TLS_CERT is .* which holds no certificate"),
    ("cert", "cert", "", "TLS_KEY is .* which holds no private key"),
    ("cert", "", "", "TLS_CERT is .* holds no private key, and TLS_KEY is not set"),
    ("key", "key", "", "TLS_CERT is .* which holds no certificate"),
    ("cert", "other_key", "", "TLS_KEY is '.*other-key.pem', which is not the key of the certificate in TLS_CERT"),
    ("cert", "locked", "", "TLS_KEY is .* protected with a password"),
    ("torn", "key", "", "TLS_CERT or TLS_KEY is damaged"),
    ("pem", "key", "", "TLS_CERT holds the text of a file; it takes the file's path"),
    ("cert", "key", "nowhere", "TLS_CLIENT_CA is .* which cannot be read"),
    ("cert", "key", "key", "TLS_CLIENT_CA is .* which holds no certificate"),
    ("cert", "key", "torn", "TLS_CLIENT_CA is .* whose certificates cannot be read"),
    ("", "key", "", "TLS_KEY is set and TLS_CERT is not"),
    ("", "", "ca", "TLS_CLIENT_CA is set and TLS_CERT is not"),
]


@pytest.mark.parametrize(("cert", "key", "clients", "words"), REFUSED)
def test_a_file_that_cannot_be_used_is_named_with_the_cause(files, cert, key, clients, words):
    settings = Settings(tls_cert=files.get(cert, ""), tls_key=files.get(key, ""), tls_client_ca=files.get(clients, ""))
    with pytest.raises(Misconfigured, match=words) as refused:
        certificates.for_app(settings)
    assert "\n" not in str(refused.value).replace(files["pem"], "")


def test_a_wrong_file_stops_the_start_before_anything_listens(files, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        environ = {"DATA_DIR": str(tmp_path), "PORT": str(taken.getsockname()[1]), "TLS_CERT": files["cert"], "TLS_KEY": files["other_key"]}
        with pytest.raises(Misconfigured, match="TLS_KEY"):
            Life(lambda: from_env(environ, tmp_path)).serve(None)


@pytest.mark.parametrize(("name", "value", "words"), [
    ("OLLAMA_CA", "nowhere", "OLLAMA_CA is .* cannot be read"), ("OLLAMA_CERT", "cert", "OLLAMA_CERT is .* OLLAMA_KEY is not set"),
    ("OLLAMA_KEY", "key", "OLLAMA_KEY is set and OLLAMA_CERT is not"),
])  # fmt: skip
def test_a_wrong_file_for_ollama_stops_the_start_too(files, tmp_path, name, value, words):
    async def start():
        async with Life(lambda: from_env({"DATA_DIR": str(tmp_path), "WORKERS": "0", name: files[value]}, tmp_path)):
            pass

    with pytest.raises(Misconfigured, match=words):
        asyncio.run(start())


@pytest.mark.parametrize("days", [30, 5])
def test_the_end_of_a_certificate_is_read_whoever_signed_it(tmp_path, days):
    cert, key = Authority(tmp_path).sign("app", "chat.example", days=days)
    left = (certificates.ends_at(Settings(tls_cert=cert, tls_key=key, tls_client_ca=cert)) - time.time()) / 86_400
    assert abs(left - days) < 0.01


def test_a_certificate_that_is_out_of_date_has_no_end_ahead(tmp_path):
    cert, key = Authority(tmp_path).sign("app", days=-1)
    assert certificates.ends_at(Settings(tls_cert=cert, tls_key=key)) == 0


def test_a_key_may_stand_in_the_file_of_its_certificate(files):
    assert certificates.for_app(Settings(tls_cert=files["both"])).verify_mode == ssl.CERT_NONE


def test_without_a_certificate_it_is_http_and_with_one_https(files, tmp_path):
    assert certificates.for_app(Settings()) is None
    assert from_env({"TLS_CERT": files["cert"]}, tmp_path).address == "https://127.0.0.1:7860"
    assert from_env({"TLS_CERT": files["cert"], "PUBLIC_URL": "https://chat.example/"}, tmp_path).address == "https://chat.example"
