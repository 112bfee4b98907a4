"""What a person reads holds no marks of the format it was written in, and no piece of a word."""

import pytest

from pagoda.rag.extractive.showing.readable import is_bare, readable


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("## Ports", "Ports"),
        ("See [the list](https://example.org/a_(b).md) first.", "See the list first."),
        ("![logo](https://evil.example/x.png) Text", "logo Text"),
        ("It is **very** *old* and __cold__.", "It is very old and cold."),
        ("Set `max_size` to `**`.", "Set `max_size` to `**`."),
        ("[`--port`](a.md) sets it", "`--port` sets it"),
        ("snake_case and 2 * 3 * 4", "snake_case and 2 * 3 * 4"),
        ("Use <b>this</b><br/>now, not <file>", "Use  this  now, not <file>"),
        ("See :ref:`the list <ports>`.", "See the list."),
        ('{{< copyable "sql" >}}\nSELECT 1;', "SELECT 1;"),
        ("```sql\nSELECT *\nFROM t;\n```", "SELECT *\nFROM t;"),
        ("| 名称 | 值 |\n| --- | :-: |\n| 端口 | 80 |\n| 超时 | 30 |", "名称: 端口; 值: 80\n名称: 超时; 值: 30"),
        ("| 端口 | 80 |", "端口; 80"),
        ("请**不要**关机，先**保存**。", "请不要关机，先保存。"),
        ("温度*低于*零度，说**“不”**也行；***很***冷", "温度低于零度，说“不”也行；很冷"),
        ("2*3*4, a*b*c and *.py, *.js", "2*3*4, a*b*c and *.py, *.js"),
        ("- **avoid\n  assumptions**. See **it**", "- avoid\n  assumptions. See it"),
        ("it is _rather_ cold in snake_case_name", "it is rather cold in snake_case_name"),
        ("==必填== 和 a==b", "必填 和 a==b"),
        ("Authorizations\n==============\n\nText\n\n---\n\nMore", "Authorizations\n\nText\n\nMore"),
        ("a\n\n[find it]: https://example.org 'x'\n\nb", "a\n\nb"),
        ('<Heading as="h2" id="x">Ports</Heading>\n</Column>\ngit add <Name>', "Ports\n\ngit add <Name>"),
        (":material-console: Shell", "Shell"),
        ("Call a.__len__ or __init__() in __init__.py; __all__ = []", None),
        ("Write _username_.github.io/_name_ to **/etc/hosts**.", "Write username.github.io/name to /etc/hosts."),
        ("Globs: **/*.py and **/*.md, /docs/**", None),
        ("Close it with </VirtualHost>; class Foo<T extends Bar = Baz> is one", None),
        ('See <Link to="/a">the\nlist</Link> <Icon name="x" />now', "See the\nlist now"),
        ("[张三]: 我们周五见\n[Ann]: yes\n[b]: a/b.md", "[张三]: 我们周五见\n[Ann]: yes"),
        ("````md\n```sh\n**x**\n```\n````\n**y**", "```sh\n**x**\n```\ny"),
    ],
)
def test_marks_of_the_format_go_and_the_words_stay(written, read):
    assert readable(written) == (written if read is None else read)


def test_what_begins_in_code_is_code_until_its_fence() -> None:
    written = "port = **80**\n```\n## Next\n\nSee [x](y.md).\n```sh\n# ls\n```"
    assert readable(written, in_code=True) == "port = **80**\nNext\n\nSee x.\n# ls"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("use --no-site-file here", "site"),
        ("Python 3.12 is out", "12"),
        ("in /etc/fstab now", "fstab"),
        ("| a | b |", "a | b"),
        ("see [x](y.md)", "y.md"),
        ("**bold** text", "**bold"),
        ("(one, two)", "(one"),
        ("`ls -l`", "`ls"),
        ("a\nb", "a\nb"),
    ],
)
def test_a_piece_of_a_word_or_of_the_format_is_no_answer(text, span):
    start = text.rindex(span)
    assert not is_bare(text, start, start + len(span))


def test_whole_words_are():
    text = "The tower (1889) is in 北京市, `ls -l` shows --all."
    for span in ("tower", "1889", "北京市", "`ls -l`", "The tower (1889)"):
        start = text.index(span)
        assert is_bare(text, start, start + len(span))
