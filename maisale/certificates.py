"""Certificates of the settings, as contexts for TLS. What is wrong with a file is said in one sentence, with the setting's name and the cause.

The files are read once: a renewed certificate counts after a restart. How the database and other services are encrypted stands in their addresses.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx

from maisale.config import Settings
from maisale.errors import Misconfigured

_BEGINS = b"-----BEGIN "


def for_app(settings: Settings) -> ssl.SSLContext | None:
    """What the app is served with; None without TLS_CERT. With TLS_CLIENT_CA nobody gets as far as a request without a certificate signed by it.

    Raises Misconfigured.
    """
    if not settings.tls_cert:
        for name, given in (("TLS_KEY", settings.tls_key), ("TLS_CLIENT_CA", settings.tls_client_ca)):
            if given:
                raise Misconfigured(f"{name} is set and TLS_CERT is not, so nothing would be encrypted. Set TLS_CERT, or leave both out.")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _present(context, "TLS_CERT", settings.tls_cert, "TLS_KEY", settings.tls_key)
    if settings.tls_client_ca:
        _trust(context, "TLS_CLIENT_CA", settings.tls_client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def for_ollama(settings: Settings) -> ssl.SSLContext:
    """What Ollama is asked with. With OLLAMA_CA only what that authority signed is trusted, else what public ones did. Raises Misconfigured."""
    if settings.ollama_ca:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _trust(context, "OLLAMA_CA", settings.ollama_ca)
    else:
        context = httpx.create_ssl_context(trust_env=False)
    if settings.ollama_cert:
        _present(context, "OLLAMA_CERT", settings.ollama_cert, "OLLAMA_KEY", settings.ollama_key)
    elif settings.ollama_key:
        raise Misconfigured("OLLAMA_KEY is set and OLLAMA_CERT is not. Set OLLAMA_CERT, or leave both out.")
    return context


def ends_at(settings: Settings) -> float:
    """When TLS_CERT ends, in seconds since 1970; 0: it is out of date now. Raises Misconfigured."""
    serving, asking = for_app(replace(settings, tls_client_ca="")), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The standard library reads a certificate only as that of somebody whom it trusts: so it is trusted itself, whoever signed it.
    asking.load_verify_locations(settings.tls_cert)
    asking.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    asking.check_hostname = False
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server, client = serving.wrap_bio(to_server, to_client, server_side=True), asking.wrap_bio(to_client, to_server)
    try:
        for _ in range(3):  # there and back
            for side in (client, server):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLCertVerificationError:
        return 0.0
    return float(ssl.cert_time_to_seconds(client.getpeercert()["notAfter"]))


def _trust(context: ssl.SSLContext, name: str, path: str) -> None:
    _pem(name, path, b"CERTIFICATE-----", "certificate")
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as problem:
        raise Misconfigured(f"{name} is {path!r}, whose certificates cannot be read ({_reason(problem)}). Export it again as PEM.") from problem


def _present(context: ssl.SSLContext, cert_name: str, cert: str, key_name: str, key: str) -> None:
    """key: may be left out when the certificate's file holds it too."""
    _pem(cert_name, cert, b"CERTIFICATE-----", "certificate")
    held = _pem(key_name if key else cert_name, key or cert, b"PRIVATE KEY-----", f"private key{'' if key else f', and {key_name} is not set'}")
    if b"ENCRYPTED" in held:
        raise Misconfigured(f"{key_name} is {key or cert!r}, which is protected with a password. Save the key without one, readable by this user alone.")
    try:
        context.load_cert_chain(cert, key or None)
    except ssl.SSLError as problem:
        if "MISMATCH" in str(problem.reason):
            words = f"{key_name} is {key!r}, which is not the key of the certificate in {cert_name} ({cert!r}). Take the two files that were made together."
        else:
            words = f"{cert_name} or {key_name} is damaged ({_reason(problem)}). Export {cert!r} and its key again as PEM."
        raise Misconfigured(words) from problem


def _pem(name: str, path: str, kind: bytes, in_words: str) -> bytes:
    """What the file holds. Raises Misconfigured when it is no PEM file with something of this kind."""
    if path.startswith(_BEGINS.decode()):
        raise Misconfigured(f"{name} holds the text of a file; it takes the file's path.")
    try:
        held = Path(path).read_bytes()
    except OSError as problem:
        raise Misconfigured(f"{name} is {path!r}, which cannot be read ({problem.strerror}). Check the path and its permissions.") from problem
    if _BEGINS not in held or kind not in held:
        raise Misconfigured(f"{name} is {path!r}, which holds no {in_words} in PEM (text between BEGIN and END lines).")
    return held


def _reason(problem: ssl.SSLError) -> str:
    return (problem.reason or "unknown").replace("_", " ").lower()
