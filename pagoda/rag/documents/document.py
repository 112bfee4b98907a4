"""What retrieval is about: documents, the chunks they are cut into, and the hits that a question finds.

First and last station of a document's path: file -> `Document` -> `Chunk`s -> index -> `Hit`s -> answer. Offsets count
characters of the document's text, so that a citation can be shown where it stands.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pagoda.rag.documents.places import AS_WRITTEN, Places

Scalar = str | int | float | bool
Metadata = Mapping[str, Scalar | tuple[Scalar, ...]]
"""What is known of a document; several values of one name are a tuple."""
SECTION_SEPARATOR = " > "
ADDRESS = r"(?:<[^<>\n]*>|(?=\S*?(?:[/#@]|\.[A-Za-z]))\S++)"
"""Pattern of what a link may lead to, as told from words: notes have "[Ann]: yes" and "[张三]: 我们下午见", too."""
# Of a title's characters: some files carry a whole paragraph there.
_LONGEST_HEADING = 80
_HEADING_MARKS = re.compile(r"^#{1,6}(?:\s+|$)|(?:(?:^|\s+)#+)?\s*(?:\{[#.:][^{}]*\})?\s*$")


def struck_warnings(num_places: int) -> tuple[str, ...]:
    """What a loader says of text that it left out because a line is drawn through it: it holds no longer.

    >>> struck_warnings(2), struck_warnings(0)
    (('has text that is struck out (2 places), which was left out',), ())
    """
    return (f"has text that is struck out ({num_places:,} places), which was left out",) if num_places else ()


def heading_title(line: str) -> str:
    """The words of a heading, without Markdown's marks of one and a name for links to it.

    >>> heading_title("## C# and F# ##"), heading_title("# Fees {#fees .new}"), heading_title("C#")
    ('C# and F#', 'Fees', 'C#')
    """
    # Single blanks first: the marks are looked for from each of them on.
    return " ".join(_HEADING_MARKS.sub("", " ".join(line.split())).split())


@dataclass(frozen=True)
class Heading:
    """Characters of a document's text that are a heading. level: 1 is the highest.

    is_label: whether it names a part, such as a tab, of the section that it stands in; no characters end such a part
    """

    start: int
    end: int
    level: int = 1
    # The level tells it apart, where a hash is made of it.
    is_label: bool = field(default=False, repr=False)


@dataclass(frozen=True)
class Document:
    """The text of one file.

    source: name of the file, relative to the folder that was indexed, with "/" on every system
    places: pages and lines of the file, where the text is not the file itself
    metadata: what a filter may ask for; a tuple where there are several values, such as tags
    headings: where the format marks them; None where it marks none, so that they have to be told by their words
    listings: (start, end) of commands, code and the like, where each line stands for itself and nothing is a heading
    warnings: what of the file may be missing from the text, for the person who indexes it; one sentence each
    """

    source: str
    text: str
    title: str = ""
    places: Places = AS_WRITTEN
    metadata: Metadata = field(default_factory=dict)
    headings: tuple[Heading, ...] | None = None
    listings: tuple[tuple[int, int], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def content_hash(self) -> str:
        """SHA-256 over everything that a chunk takes from the document.

        >>> Document("a.txt", "x").content_hash == Document("b.txt", "x").content_hash
        True
        """
        structure = (self.headings, self.listings)
        parts = (self.text, self.title, repr(self.places), repr(structure), repr(sorted(self.metadata.items())))
        return hashlib.sha256("\0".join(parts).encode("utf-8", errors="surrogatepass")).hexdigest()

    def page_at(self, offset: int) -> int | None:
        """The page of a character, counted from 1; None where the format has no pages."""
        return self.places.page_at(offset)

    def line_at(self, offset: int) -> int:
        """The line of the file that a character stands in, counted from 1.

        >>> Document("a.txt", "one\\ntwo").line_at(4)
        2
        """
        line = self.places.line_at(offset)
        return self.text.count("\n", 0, offset) + 1 if line is None else line


@dataclass(frozen=True)
class Chunk:
    """A stretch of a document that is found as one. Offsets count the document's characters.

    line, page: where it begins; places: where its other characters stand, as far as that has to be known
    section: the headings that it begins under, the highest first
    is_embedded: whether its sentences have vectors; not those that the embedder cannot read
    is_whole: whether the vector is one, of all of it, as an embedder of passages wants it
    sentences: (start, end) of each
    """

    chunk_id: str
    source: str
    text: str
    start: int
    end: int
    line: int
    page: int | None = None
    title: str = ""
    sentences: tuple[tuple[int, int], ...] = ()
    metadata: Metadata = field(default_factory=dict)
    places: Places = AS_WRITTEN
    section: str = ""
    is_embedded: bool = True
    is_whole: bool = False

    def page_at(self, offset: int) -> int | None:
        """The page of one of its characters; None where the format has no pages.

        >>> Chunk("1", "a.pdf", "One. Two.", 10, 19, 1, 4, places=Places(((0, 4), (15, 5)))).page_at(15)
        5
        """
        page = self.places.page_at(offset)
        return self.page if page is None else page

    def line_at(self, offset: int) -> int:
        """The line of the file that one of its characters stands in.

        >>> Chunk("1", "a.txt", "One.\\nTwo.", 10, 19, 7).line_at(15)
        8
        """
        line = self.places.line_at(offset)
        return self.line + self.text.count("\n", 0, offset - self.start) if line is None else line

    def sentence_texts(self) -> list[str]:
        """The sentences themselves; the whole chunk where none were told apart.

        >>> Chunk("1", "a.txt", "One. Two.", 10, 19, 1, sentences=((10, 14), (15, 19))).sentence_texts()
        ['One.', 'Two.']
        """
        spans = self.sentences or ((self.start, self.end),)
        return [self.text[start - self.start : end - self.start] for start, end in spans]

    @property
    def embedded_spans(self) -> tuple[tuple[int, int], ...]:
        """(start, end) of what has a vector each: its sentences, or all of it; nothing where it is not read."""
        if not self.is_embedded:
            return ()
        return ((self.start, self.end),) if self.is_whole or not self.sentences else self.sentences

    @property
    def heading(self) -> str:
        """What stands before the text where it is indexed: a sentence alone rarely names what it is about.

        The document's title and the nearest of the headings above.

        >>> Chunk("1", "a.txt", "It has 20 floors.", 0, 17, 1, title="Drum Tower", section="Drum Tower > Size").heading
        'Drum Tower: Size: '
        """
        nearest = self.section.rpartition(SECTION_SEPARATOR)[2]
        names = [self.title, nearest] if nearest != self.title else [self.title]
        return "".join(f"{name[:_LONGEST_HEADING]}: " for name in names if name)


ANSWERS = "answers"
"""The part of a hit that whoever read it with the question gives: its log-odds that the hit answers, less a share of
what the fused score lacks to that of the best one (`retriever.FOUND_WEIGHT`), so no log-odds by themselves.
"""


@dataclass(frozen=True)
class Hit:
    """A chunk that a question found. score: higher is better, comparable within one question only.

    parts: the score of each leg ("bm25", "dense", "rerank") as it was before they were joined, and what of the question
        is met ("covered", "in_sentence", "named" and others; see retrieval/evidence); "stands_out": how much higher
        "dense" is than in the mean of the best hits; "fused": the score that it had before somebody read it with the
        question; ANSWERS: what that reader found
    copies: documents that say the same, or other versions of this one, which are left out for it
    """

    chunk: Chunk
    score: float
    parts: Mapping[str, float] = field(default_factory=dict)
    copies: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The chunk's text."""
        return self.chunk.text

    @property
    def source(self) -> str:
        """The file."""
        return self.chunk.source
