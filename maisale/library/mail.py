"""An e-mail (EML) to text: subject as heading, who, when, the names of its files, its texts in order and the messages it forwards.

The standard library's parser was chosen over mail-parser, which wraps it and loses the order of the parts.
"""

from __future__ import annotations

import email
import email.header
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

from maisale.errors import Unreadable
from maisale.library.decoding import decode
from maisale.library.webpage import markdown_of

FORWARDED = 5  # messages inside each other that are read

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_FIELDS = ("From", "To", "Cc", "Date")
_LOCKED = ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")


def mail_text(data: bytes, name: str) -> str:
    """Raises Unreadable."""
    if data.startswith(_OLE):
        raise Unreadable(f"{name} is an Outlook file (MSG) under another name. Save the e-mail as EML and add it again.")
    message = email.message_from_bytes(data.removeprefix(b"\xef\xbb\xbf").lstrip(), policy=email.policy.default)
    if not isinstance(message, EmailMessage) or not (_field(message, "From") or _field(message, "Subject") or _is_bare(message, name)):
        raise Unreadable(f"{name} is not an e-mail: it has no sender and no subject. Save the e-mail again as EML.")
    kind = message.get_content_type()
    if kind in _LOCKED and "signed" not in str(message.get_param("smime-type", "")):
        raise Unreadable(f"{name} is an encrypted e-mail. Save its text without encryption and add it again.")
    return "\n\n".join(_texts(message, name, 1))


def _is_bare(message: Any, name: str) -> bool:
    """A message without a sender and a subject, as programs make them: its head says how its body is written, and there is text in it."""
    return _field(message, "MIME-Version") != "" and any(_part_text(part, name).strip() for part in _parts(message))


def _texts(message: Any, name: str, level: int) -> Iterator[str]:
    """The head of a message, then what it says; a forwarded one is a section of its own."""
    yield f"{'#' * level} {_field(message, 'Subject') or 'E-mail'}"
    files = [f"Attached: {file}" for file in _files(message)]
    yield "\n".join([f"{field}: {value}" for field in _FIELDS if (value := _field(message, field))] + files)
    yield from (text for part in _parts(message) if (text := _part_text(part, name).strip()))
    if level < FORWARDED:
        for part in _walk(message):
            if part.get_content_type() == "message/rfc822" and isinstance(part.get_payload(), list) and part.get_payload():
                yield from _texts(part.get_payload()[0], name, level + 1)


def _walk(message: Any) -> Iterator[Any]:
    """The parts of a message, without those of the messages inside it."""
    if message.is_multipart() and message.get_content_maintype() == "multipart":
        for part in message.get_payload():
            yield part
            yield from _walk(part)


def _parts(part: Any) -> Iterator[Any]:
    """The parts that are shown as text. Of alternatives it is the first that says something: plain, else HTML."""
    if part.get_content_maintype() == "multipart" and part.is_multipart():
        inner = [shown for one in part.get_payload() for shown in _parts(one)]
        if part.get_content_type() == "multipart/alternative":
            inner.sort(key=lambda shown: shown.get_content_type() != "text/plain")
            inner = next(([shown] for shown in inner if (shown.get_payload(decode=True) or b"").strip()), [])
        yield from inner
    elif part.get_content_type() in ("text/plain", "text/html") and not _file_name(part):
        yield part


def _part_text(part: Any, name: str) -> str:
    data = part.get_payload(decode=True) or b""
    try:
        text = data.decode(part.get_content_charset("utf-8"))
    except (LookupError, UnicodeError):  # a charset that does not exist, or not the one that was used
        text = decode(data, name)
    return markdown_of(text) if part.get_content_subtype() == "html" else text


def _files(message: Any) -> list[str]:
    return [file for part in _walk(message) if (file := _file_name(part))]


def _file_name(part: Any) -> str:
    try:
        return " ".join((part.get_filename() or "").split())
    except (ValueError, AttributeError, LookupError, TypeError):
        return "a file without a name"


def _field(message: Any, field: str) -> str:
    """A field of the head as text; one that breaks the rules is decoded as far as it goes."""
    try:
        return str(message[field] or "")
    except (ValueError, AttributeError, LookupError, TypeError):  # Python 3.11's parser stumbles over some addresses
        raw = next((value for key, value in message.raw_items() if key.lower() == field.lower()), "")
    try:
        return " ".join(str(email.header.make_header(email.header.decode_header(raw))).split())
    except (ValueError, LookupError):
        return " ".join(raw.split())
