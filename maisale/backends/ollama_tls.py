"""What a failed TLS connection to Ollama was about, in words: other causes than a server that is away, and other things to do."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx

_OUT_OF_DATE = (9, 10)  # OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and _CERT_HAS_EXPIRED
_OTHER_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH
_WANTS_OURS = ("CERTIFICATE_REQUIRED", "ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE", "ALERT_HANDSHAKE_FAILURE", "ALERT_ACCESS_DENIED")
_SENTENCES = {
    "untrusted": "The certificate of Ollama at {url} is not trusted. Name the file of the authority that signed it in OLLAMA_CA.",
    "expired": "The certificate of Ollama at {url} is out of date. Renew it there; if it is new, a clock is wrong.",
    "other_name": "The certificate of Ollama at {url} is made out to another name. Use that name in OLLAMA_HOST, or have it signed for this one.",
    "wants_ours": "Ollama at {url} asks for a client certificate that it knows. Set OLLAMA_CERT and OLLAMA_KEY to one that its authority signed.",
    "no_tls": "What answers at {url} does not speak TLS. Begin its address in OLLAMA_HOST with http://, or give it a certificate.",
}


def trouble(problem: BaseException) -> str:
    """untrusted, expired, other_name, wants_ours or no_tls; empty when TLS is not what failed."""
    if isinstance(problem, httpx.HTTPStatusError):
        return "wants_ours" if problem.response.status_code == 400 and "SSL certificate" in problem.response.text[:4000] else ""  # as nginx says it
    for one in _causes(problem):
        if isinstance(one, ssl.SSLCertVerificationError):
            return "expired" if one.verify_code in _OUT_OF_DATE else "other_name" if one.verify_code in _OTHER_NAME else "untrusted"
        if isinstance(one, ssl.SSLError):
            reason = str(one.reason)
            return "wants_ours" if any(sign in reason for sign in _WANTS_OURS) else "no_tls" if "WRONG_VERSION" in reason or "RECORD_LAYER" in reason else ""
    return ""


def sentence(trouble: str, url: str) -> str:
    return _SENTENCES[trouble].format(url=url)


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    """Also those that are hidden: ollama 0.6.3 raises its ConnectionError `from None`."""
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__
