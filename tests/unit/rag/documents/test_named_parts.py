"""The name of a tab, an admonition or a component stays with every chunk of what it holds, and with nothing else."""

from __future__ import annotations

import pytest

from pagoda.rag.documents.document import Chunk
from pagoda.rag.documents.loaders import load_bytes
from pagoda.rag.splitting.splitter import Splitter

TABS = """# Course

## Teachers

=== "Ann"

    Takes the register.

    - Lets you bring a sheet.
      More of it.

    ```sh
    === "no tab"
    ```

=== "Bob"

    Takes no register.

Both are kind.
"""
COLONS = """# Course

:::::tabs
::::tip[Ann]
Takes the register.

:::note
Mind it.
:::
::::
:::tip Bob
Takes no register.
:::
:::::

Both are kind.
"""
TAGS = """# Course

<Tabs>
  <TabItem
    value="a" label="Ann">

Takes the register.

### Her room

It is 5.

  </TabItem>
  <TabItem value="Bob">

Takes no register.

  </TabItem>
</Tabs>

Both are kind.
"""
FOLDED = """# Course

<details>
<summary><b>Ann</b></summary>

Takes the register.

</details>

??? question "Bob"
    Takes no register.

Both are kind.
"""


def chunks(text: str, name: str = "a.md", max_tokens: int = 200) -> list[Chunk]:
    splitter = Splitter(lambda texts: [len(text.split()) for text in texts], max_tokens)
    return splitter.split(load_bytes(text.encode(), name))


def section_of(found: list[Chunk], words: str) -> str:
    return next(chunk.section for chunk in found if words in chunk.text)


@pytest.mark.parametrize(("text", "name"), [(TABS, "a.md"), (COLONS, "a.md"), (TAGS, "a.mdx"), (FOLDED, "a.md")])
@pytest.mark.parametrize("max_tokens", [8, 200])
def test_a_part_keeps_its_name_and_gives_it_to_nothing_else(text: str, name: str, max_tokens: int) -> None:
    found = chunks(text, name, max_tokens)
    assert section_of(found, "Takes the register").endswith("Ann")
    assert section_of(found, "Takes no register").endswith("Bob")
    last = next(chunk for chunk in found if "Both are kind" in chunk.text)
    assert not last.section.endswith(("Ann", "Bob"))
    assert "register" not in last.text


def test_names_stand_beside_the_heading_above_them_and_code_is_none() -> None:
    found = chunks(TABS)
    assert section_of(found, "bring a sheet") == "Course > Teachers: Ann"
    assert '=== "no tab"' in next(chunk.text for chunk in found if "bring a sheet" in chunk.text)
    assert section_of(found, "Both are kind") == "Course > Teachers"
    assert section_of(chunks(TAGS, "a.mdx"), "It is 5") == "Course > Ann > Her room"


def test_lines_stay_those_of_the_file() -> None:
    for text, name in ((TABS, "a.md"), (COLONS, "a.md"), (TAGS, "a.mdx"), (FOLDED, "a.md")):
        document = load_bytes(text.encode(), name)
        lines = text.split("\n")
        for words in ("Takes the register", "Takes no register", "Both are kind"):
            assert words in lines[document.line_at(document.text.index(words)) - 1]


@pytest.mark.parametrize(
    "text",
    [
        "a ::: b",
        ":::note\nnever closed",
        "!!! never mix these\n??? really\n\nNo.",
        "[Ann]: yes\n[张三]: 我们下午见",
        '<Card title="x">\nnever closed',
        "x ??? y",
        "===",
    ],
)
def test_what_is_no_mark_or_is_never_closed_stays(text: str) -> None:
    assert load_bytes(text.encode(), "a.md").text == text


def test_what_stands_before_a_closing_tag_is_still_of_its_part() -> None:
    found = chunks('# A\n\n<Tab title="Ann">\n\nShe is in.\n\nShe waits.</Tab>\n\n<Tab title="Bob">\n\nHe runs.</Tab>')
    assert [(chunk.section, "waits" in chunk.text) for chunk in found] == [("A > Ann", True), ("A > Bob", False)]


def test_a_title_above_nothing_is_text_without_its_marks() -> None:
    assert load_bytes(b'# A\n\n!!! danger "No SQLite"\n\nText.\n', "a.md").text == "# A\n\nNo SQLite\n\nText.\n"
    assert [chunk.section for chunk in chunks('# A\n\n!!! danger "No SQLite"\n\nText.\n')] == ["A"]


def test_a_part_in_one_line_keeps_its_name() -> None:
    found = chunks(
        '# A\n\n<TabItem value="win" label="Windows">Use winget.</TabItem>\n<Tab title="Mac"> Brew. </Tab>\n'
    )
    assert found[0].text == "# A\n\nWindows: Use winget.\nMac: Brew."


def test_the_time_that_a_page_takes_grows_with_the_page() -> None:
    # Either took a minute or more.
    document = load_bytes(
        ("::: a\n" * 20_000 + f"<T{' ' * 300_000}x\n:::\n[x]: y{' ' * 30_000}z\n\n[x]: z/\n").encode(), "a.md"
    )
    assert document.text.rstrip().endswith("z")


def test_links_to_what_is_defined_elsewhere_are_their_words() -> None:
    text = "See [one\nway][1], [pages] and [x].\n\n`[pages]` [ ] todo\n\n```\n[pages]\n```\n\n[1]: http://a.example\n"
    text += "[pages]: http://b.example\n  'Title'\n[y] is here\n"
    document = load_bytes(text.encode(), "a.md")
    assert document.text.rstrip("\n").split("\n") == [
        *("See one", "way, pages and [x].", "", "`[pages]` [ ] todo", "", "```", "[pages]", "```"),
        *("", "", "", "", "[y] is here"),
    ]


def test_a_chunk_knows_whether_it_begins_in_code() -> None:
    code = "\n".join(f"# line {number} of it" for number in range(9))
    found = chunks(f"# A\n\nText of it.\n\n```sh\n{code}\n```\n\nAfter it.\n", max_tokens=16)
    states = [(chunk.text.split("\n")[0], chunk.places.in_code(chunk.start)) for chunk in found]
    assert states[0] == ("# A", False)
    assert all(is_code == text.startswith("# line") for text, is_code in states[1:])
    assert sum(is_code for _, is_code in states) > 1
