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
    expect(page.get_by_role("heading", level=1)).to_have_text("今天写点什么？")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_role("button", name="Switch to English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What shall we write today?")
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
