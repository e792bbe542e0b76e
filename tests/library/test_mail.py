"""E-mails as mail programs write them."""

from email.message import EmailMessage

import pytest
from made_files import VIETNAMESE, text_of

from maisale.errors import Unreadable


def mail(subject="Returns", text=VIETNAMESE):
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "linh@example.com", "hoa@example.com"
    message.set_content(text)
    return message


def test_a_forwarded_message_is_a_section(tmp_path):
    outer = mail("Fwd: Returns", "See below.")
    outer.add_attachment(mail())
    assert text_of(tmp_path, "a.eml", outer.as_bytes()).endswith(f"See below.\n\n## Returns\n\nFrom: linh@example.com\nTo: hoa@example.com\n\n{VIETNAMESE}")


def test_an_empty_plain_text_gives_way_to_html(tmp_path):
    message = mail(text="\n")
    message.add_alternative("<p>Returns take <b>five</b> days.</p>", subtype="html")
    assert text_of(tmp_path, "a.eml", message.as_bytes()).endswith("\n\nReturns take five days.")


def test_text_on_both_sides_of_a_picture_is_read(tmp_path):
    message = mail(text="Before the picture.")
    message.make_mixed()
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="chart.png", disposition="inline")
    message.add_attachment("After the picture.", disposition="inline")
    text = text_of(tmp_path, "a.eml", message.as_bytes())
    assert text.index("Attached: chart.png") < text.index("Before the picture.") < text.index("After the picture.")


@pytest.mark.parametrize("charset", ["us-ascii", "iso-2022-jp", "no-such", "windows-1258"])
def test_text_in_another_charset_than_declared_is_read(tmp_path, charset):
    data = f"From: a@example.com\nSubject: x\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: 8bit\n\n{VIETNAMESE}".encode()
    assert (VIETNAMESE in text_of(tmp_path, "a.eml", data)) == (charset != "windows-1258")  # whose every byte is a letter


@pytest.mark.parametrize("to", ["undisclosed:;, list: a@example.com;", "=?utf-8?q?A?=\n =?utf-8?b?Cg==?= <a@example.com>", "<<>>@@", "(((("])
def test_an_address_that_breaks_the_rules_does_not_hide_the_text(tmp_path, to):
    data = f"From: {to}\nTo: {to}\nSubject: Returns\n\nReturns take five days.".encode()
    assert text_of(tmp_path, "a.eml", data).endswith("Returns take five days.")


@pytest.mark.parametrize("kind", ["multipart/encrypted; boundary=b", "application/pkcs7-mime; smime-type=enveloped-data"])
def test_an_encrypted_email_is_refused(tmp_path, kind):
    with pytest.raises(Unreadable, match="is an encrypted e-mail"):
        text_of(tmp_path, "a.eml", f"From: a@example.com\nSubject: x\nContent-Type: {kind}\n\n--b\n\nxx\n--b--".encode())


BARE = b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nThe pump is due in May.\n--b--\n"


def test_a_message_without_sender_and_subject_is_read_when_it_holds_text(tmp_path):
    assert "The pump is due in May." in text_of(tmp_path, "a.eml", BARE)
    with pytest.raises(Unreadable, match="not an e-mail"):
        text_of(tmp_path, "a.eml", BARE.replace(b"text/plain", b"application/octet-stream"))
