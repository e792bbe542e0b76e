"""The product over TLS, from outside: what it serves, whom it lets in, and the ways to call it."""

import contextlib
import re
import ssl
import subprocess
import sys

import httpx
import pytest
from authority import Authority
from gradio_client import Client
from running import ADMIN_KEY, ROOT, RunningApp

from fake_ollama import FakeOllama
from maisale.client import MaiSale


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@contextlib.contextmanager
def trusting(ca):
    """As SSL_CERT_FILE in the environment of a program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", ca.file)
        yield


@pytest.fixture(scope="module")
def app(tmp_path_factory, ca):
    cert, key = ca.sign("app")
    files = {"TLS_CERT": cert, "TLS_KEY": key, "OLLAMA_CA": ca.file}
    with FakeOllama(tls=ca.serving()) as ollama, RunningApp(tmp_path_factory.mktemp("tls"), ollama.url, ca.asking(), **files) as running:
        yield running


def test_the_printed_address_is_https_and_opens_the_door_with_a_secure_cookie(app, ca):
    link = app.sign_in_link()
    assert link.startswith(app.url) and app.url.startswith("https://")
    with httpx.Client(verify=ca.asking(), headers={"Origin": app.url}) as browser:
        came = browser.post(link)
        cookie = came.headers["set-cookie"]
        assert came.status_code == 303 and re.search("; secure", cookie, re.IGNORECASE) and "max-age=" in came.headers["strict-transport-security"]
        assert browser.get(app.url).status_code == 200


def test_who_does_not_know_the_authority_does_not_trust_it(app):
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{app.url}/healthz", verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def test_plain_http_gets_no_answer(app):
    with pytest.raises(httpx.TransportError):
        httpx.get(app.url.replace("https://", "http://") + "/healthz")


def test_gradio_client_takes_the_standard_variable(app, ca):
    with trusting(ca):
        client = Client(app.url, headers={"X-API-Key": ADMIN_KEY}, verbose=False)
        assert client.predict("How do I sign in for the first time?", api_name="/ask")["done"]


def test_the_python_client_takes_the_standard_variable(app, ca):
    with trusting(ca), MaiSale(app.url, ADMIN_KEY) as maisale:
        assert maisale.search("sign in") is not None
        assert maisale.ask("How do I sign in for the first time?")["state"] == "done"


@pytest.mark.parametrize("trusted", [True, False])
def test_the_probe_runs_over_tls_with_the_standard_variable(app, ca, trusted):
    environ = {**app.environment(), **({"SSL_CERT_FILE": ca.file} if trusted else {"SSL_CERT_FILE": ""})}
    words = ["probe", app.url, "--only", "^GET /v1/me$"]
    ran = subprocess.run([sys.executable, "-m", "maisale", *words], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120)
    assert (ran.returncode == 0) == trusted, ran.stdout + ran.stderr
    assert trusted or "did not answer" in ran.stderr


def test_the_worker_and_the_answers_reach_ollama_over_tls(app):
    said = app.command("doctor").stdout
    assert re.search(r"https://127\.0\.0\.1:\d+ answers with gpt-oss and bge-m3", said)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, ca):
    """Only for those with a certificate of `ca`."""
    cert, key = ca.sign("guarded")
    ours = ca.asking(*ca.sign("person", "linh"))
    with RunningApp(tmp_path_factory.mktemp("mtls"), tls=ours, TLS_CERT=cert, TLS_KEY=key, TLS_CLIENT_CA=ca.file) as running:
        yield running


def test_with_a_client_authority_only_its_certificates_get_in(guarded, ca, tmp_path):
    health = f"{guarded.url}/healthz"
    assert httpx.get(health, verify=ca.asking(*ca.sign("colleague", "minh"))).json()["status"] == "ok"
    for ours in ((), Authority(tmp_path, "other").sign("stranger", "hoa"), ca.sign("former", "lan", days=-1)):
        with pytest.raises(httpx.TransportError):
            httpx.get(health, verify=ca.asking(*ours))
