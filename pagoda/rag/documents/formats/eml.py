"""Mails to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. The standard library reads
MIME (RFC 2045 to 2049) and its encodings; who wrote to whom, when and about what leads the text, the names of what is
attached end it. What is attached is not read: save it beside the mail.
"""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from pagoda.rag.documents.composition import Composition
from pagoda.rag.documents.decoding import LoaderSettings
from pagoda.rag.documents.description import metadata_of
from pagoda.rag.documents.document import Document
from pagoda.rag.documents.markup.html import html_document

_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def load_eml(data: bytes, source: str, settings: LoaderSettings) -> Document:
    """The mail and those that it carries along."""
    message: Any = message_from_bytes(data, policy=policy.default)
    composition = Composition(settings.max_bytes)
    _add(message, composition)
    said = {name.lower(): _header(message, name) for name in ("From", "To", "Date")}
    return composition.document(source, _header(message, "Subject"), metadata_of(said))


def _add(message: Any, composition: Composition) -> None:
    lines = (f"{name}: {value}" for name in _HEADERS if (value := _header(message, name)))
    composition.add("\n".join(lines))
    body = message.get_body(("plain", "html"))
    if body is not None:
        composition.add_document(_body(body))
    attached = list(_attached(message, body))
    composition.add("Attachments: " + "; ".join(_named(part) for part in attached) if attached else "")
    for part in attached:
        if part.get_content_type() == "message/rfc822" and isinstance(part.get_payload(), list):
            _add(part.get_payload(0), composition)


def _body(part: Any) -> Document:
    text = _content(part).replace("\r\n", "\n")
    if part.get_content_subtype() == "html":
        return html_document(text, "")
    if part.get_param("format", "").lower() == "flowed":
        # RFC 3676: a line that ends in a blank goes on in the next.
        text = text.replace(" \n", " ")
    return Document("", text)


def _content(part: Any) -> str:
    """Text, also where the encoding that a part names is none."""
    try:
        return str(part.get_content())
    except (LookupError, UnicodeDecodeError):
        return part.get_payload(decode=True).decode("utf-8", "replace")


def _attached(message: Any, body: Any) -> Iterator[EmailMessage]:
    if message.is_multipart():
        yield from (part for part in message.iter_attachments() if part is not body)


def _named(part: Any) -> str:
    name = part.get_filename() or "without a name"
    return f"{name} ({part.get_content_type()})"


def _header(message: Any, name: str) -> str:
    return " ".join(str(message.get(name, "")).split())
