"""MDX: what a reader of the page sees stays where it stands, and only that."""

from __future__ import annotations

from pagoda.rag.documents.loaders import load_bytes

PAGE = """---
title: Radio
---
import Tabs from "@theme/Tabs";
import {
  Card,
} from '../card';

# Radio

{/* not for
readers */}
import duties are paid by the buyer of the radio.

import taxes, too, they say.

```js
import x from "y";
```

export const faq = [{ q: "How far?", a: `Two miles` }];

<Tabs>The range is **two** miles.</Tabs>
"""


def test_imports_and_comments_are_blank_and_all_else_stays_on_its_line() -> None:
    loaded = load_bytes(PAGE.encode(), "radio.mdx")
    assert loaded.title == "Radio"
    lines, written = loaded.text.split("\n"), PAGE.split("\n")
    gone = {number for number, line in enumerate(written) if line and not lines[number]}
    assert gone == {*range(7), 10, 11}
    assert all(lines[n] == line for n, line in enumerate(written) if n not in gone)


def test_an_import_that_does_not_end_takes_its_paragraph_and_no_more() -> None:
    text = load_bytes(b"import {\n  Card\n\nThe range is two miles.", "radio.mdx").text
    assert text.split("\n") == ["", "", "", "The range is two miles."]


def test_other_names_of_markdown_are_read() -> None:
    for suffix in ("Rmd", "qmd", "mkd", "mdown"):
        loaded = load_bytes(b"# Radio\n\n```{r, echo=FALSE}\nplot(1)\n```\nTwo miles.", f"radio.{suffix}")
        assert (loaded.title, len(loaded.listings)) == ("Radio", 1)


def test_what_looks_like_a_comment_in_code_or_never_ends_stays() -> None:
    page = "```jsx\n{/* seen */}\n```\nIt {/* not */} runs.\n\n{/* never ends\n\nTwo miles."
    assert load_bytes(page.encode(), "radio.mdx").text == page.replace("{/* not */}", "")


def test_an_import_with_attributes_ends_on_its_line() -> None:
    page = b"import data from './x.json' with { type: 'json' }\nThe range is two miles."
    assert load_bytes(page, "radio.mdx").text.split("\n") == ["", "The range is two miles."]
