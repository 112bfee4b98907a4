"""How the chat page shows things: Markdown, hostile text, two languages, dark and light, a phone."""

from __future__ import annotations

import re
from typing import Any

from chat_page import ask, expect, finished


def test_markdown_becomes_elements(open_page: Any) -> None:
    page = open_page()
    ask(page, "markdown")
    md = finished(page).locator(".md")
    expect(md.locator("h1 em")).to_have_text("fine")
    expect(md.locator("strong")).to_have_text("bold")
    expect(md.locator("a")).to_have_attribute("href", "https://example.org/a_(b)")
    expect(md.locator("a")).to_have_attribute("rel", re.compile("noopener"))
    expect(md.locator("ul > li > ol > li")).to_have_text("deeper")
    expect(md.locator("tbody td")).to_have_text(["月", "moon"])
    expect(md.locator("blockquote")).to_have_text("said the fox")
    expect(md.locator("pre code")).to_have_text('print("<b>not bold</b>")')
    expect(md.locator("pre").get_by_role("button", name="Copy")).to_be_visible()


def test_the_text_of_a_model_cannot_become_markup_or_script(open_page: Any) -> None:
    page = open_page()
    ask(page, "<b>hostile</b> hostile")
    md = finished(page).locator(".md")
    expect(md).to_contain_text("<script>window.harmed = 1</script>")
    assert md.locator("script, img, svg:not(.icon), iframe, b, [onerror], [onload]").count() == 0
    assert [link.get_attribute("href") for link in md.locator("a").all()] == ["https://evil.example/x.png"]
    expect(page.locator(".user .text")).to_have_text("<b>hostile</b> hostile")
    assert page.evaluate("window.harmed") is None


def test_the_language_follows_the_browser_and_the_switch(open_page: Any) -> None:
    page = open_page(locale="zh-CN")
    expect(page.get_by_role("heading", level=1)).to_have_text("想问点什么？")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_role("button", name="Switch to English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What would you like to know?")
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_dark_follows_the_system_until_it_is_switched(open_page: Any) -> None:
    page = open_page(color_scheme="dark")
    lightness = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((a, b) => a + +b, 0)"
    assert page.evaluate(lightness) < 120
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(lightness) > 650
    page.reload()
    assert page.evaluate(lightness) > 650


def test_a_phone_has_no_horizontal_scroll_and_a_drawer_for_the_list(open_page: Any) -> None:
    page = open_page(viewport={"width": 360, "height": 720}, has_touch=True, is_mobile=True)
    ask(page, "markdown")
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(
        "document.getElementById('scroll').scrollWidth <= document.getElementById('scroll').clientWidth"
    )
    expect(page.locator("#side")).to_be_hidden()
    page.get_by_role("button", name="Show the list").click()
    expect(page.locator(".entry")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#side")).to_be_hidden()


FORMULAS = {  # what a model writes: what it is read as, "" where it stays as it was written
    r"\(a_1*b_2*c_3\)": "a1∗b2∗c3",
    r"$\frac{a_1}{b_2}$": "a1b2",
    r"公式$x^2$是": "x2",
    "the segment $AB$ of $n$ points": "AB",
    "\\[\nx_1\n- y_1\n= \\sqrt{z}\n\\]": "x1−y1=z",
    "Thus:\n$$\n\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}\n$$": "(1234)",
    "\\begin{align}\na &= b_1 \\\\\n&\\le c_2\n\\end{align}": "a=b1≤c2",
    "1. so\n   \\[ \\sum_{i=1}^n \\mathbb{E}[x_i] \\]\n2. next": "∑i=1n𝔼[xi]",
    "| $|x|$ | \\(a|b\\) |\n|---|---|": "|x|",
    r"**bold \(a*b\) end** and $f'(x)$": "a∗b",
    r"\( \unknowncommand{x_1} * y_2 \)": "",
    r"\(x_1 * y_2 * z": "",
}
NO_FORMULAS = (
    "I paid $5 and $6 for *it*",
    "from $5-$10, US$100 or 10$, $5/month and 10$/year",
    "**$5** and **$6**; ($5, $6); $1,000/$2,000; $50k–$60k; earn $5; profit: 3$.",
    "$20,000, $1.5M to $2M; 价格从$5涨到$6，$5（约36元）到10$之间",
    "set $HOME/$USER and $PATH, a$b$c",
    r"escaped \$5 and \$6",
    "makes $$ and more $$ for us",
    r"\[no link\](x) and \*no emphasis\*",
)


def test_formulas_are_shown_or_left_as_they_were_written_and_money_is_money(open_page: Any) -> None:
    page = open_page()
    shown = """text => {
        const node = document.createElement("div");
        renderMarkdown(node, text, false);
        for (const note of node.querySelectorAll("annotation")) note.remove();
        const one = node.querySelector("math");
        const source = node.querySelector("code.tex")?.textContent ?? "";
        return [one ? one.textContent.replace(/\\s/g, "") : "", source];
    }"""
    for written, read in FORMULAS.items():
        formula, source = page.evaluate(shown, written)
        assert formula == read, written
        assert source == ("" if read else written)
    for written in NO_FORMULAS:
        assert page.evaluate(shown, written) == ["", ""], written
    kept = "`$x_1$ \\(y\\)`\n\n```\n\\[ x_1 * $y$ \\]\n\tindented\n```"
    expression = "text => { const node = document.createElement('div'); renderMarkdown(node, text, false); "
    codes = "return [...node.querySelectorAll('code')].map(code => code.textContent); }"
    assert page.evaluate(expression + codes, kept) == ["$x_1$ \\(y\\)", "\\[ x_1 * $y$ \\]\n\tindented"]


MARKED = {
    "**注意：**这是 **Note:**text": "<strong>注意：</strong>这是 <strong>Note:</strong>text",
    "2**(n)**3 2*(a+b)*c snake_case_name": "2**(n)**3 2*(a+b)*c snake_case_name",
    "***both*** *a **b** c*": "<em><strong>both</strong></em> <em>a <strong>b</strong> c</em>",
    "H<sub>2</sub>O a<br>b <b>c</b>": "H<sub>2</sub>O a<br>b &lt;b&gt;c&lt;/b&gt;",
    "&lt;&amp;&copy; &no; </sub>": "&lt;&amp;© &amp;no; &lt;/sub&gt;",
    "(see https://example.org/a_(b)). `` a`b ``": (
        '(see <a href="https://example.org/a_(b)" target="_blank" rel="noopener noreferrer nofollow">'
        "https://example.org/a_(b)</a>). <code>a`b</code>"
    ),
}


def test_marks_are_read_as_commonmark_reads_them_and_beside_chinese_too(open_page: Any) -> None:
    page = open_page()
    shown = "text => { const node = document.createElement('p'); inline(node, text, false); return node.innerHTML; }"
    for written, html in MARKED.items():
        assert page.evaluate(shown, written) == html
    outline = """text => { const node = document.createElement("div"); renderMarkdown(node, text, false);
        const found = [...node.querySelectorAll("ul, ol, li, pre, table, h2, blockquote")];
        return found.map(each => each.localName).join(" "); }"""
    for written, expected in {
        "1. a\n\n   ```py\n   - no item\n   ```\n2. b": "ol li pre li",
        "* a\n  - b\n    - c\n\n\n* d": "ul li ul li ul li li",
        "- [ ] a\n- [x] b": "ul li li",
        "Here:\n| a | b |\n|---|---|\n| 1 | 2 |": "table",
        "Title\n---\n> quote\n> ```\n> code\n> ```": "h2 blockquote pre",
        "In\n1986. was a year": "",
    }.items():
        assert page.evaluate(outline, written) == expected, written
