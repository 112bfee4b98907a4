"""Mistakes in a domain file, one of each kind: refused with the line, what stood there and what to do about it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagoda.dialogue.cypher.domain_check import check
from pagoda.dialogue.domain.domain import CITY, Domain
from pagoda.dialogue.errors import DomainError
from pagoda.graph.schema import GraphSchema

SHOP = """name: shop
languages: [zh, en]
labels:
  Item: {key: sku, names: {zh: name_zh, en: name}, title: {zh: 商品, en: item}}
  Brand: {key: id, names: {zh: name_zh, en: name}, aliases: aliases}
  Order: {key: id, names: {}}
slots:
  brand: {type: name, labels: [Brand], many: true, title: {zh: 品牌, en: brand}}
  price:
    type: price
    low: 1
    high: 9000
    bands: {cheap: {zh: [便宜], en: [cheap]}, dear: {zh: [贵], en: [expensive]}}
  colour:
    type: choice
    choices: {red: {zh: [红], en: [red]}, blue: {zh: [蓝], en: [blue]}}
  vegan: {type: boolean}
  item: {type: name, labels: [Item], may_be_any: false}
  day: {type: time, questions: {zh: [哪天？], en: ["Which day?"]}}
intents:
  find_item:
    kind: find
    optional: [brand, price, colour, vegan]
    query:
      label: Item
      filters:
        - {slot: brand, operator: node, path: [{out: MADE_BY, to: Brand}]}
        - {slot: price, operator: range, property: price, bands: {cheap: [null, 20], dear: [20, null]}}
        - {slot: colour, operator: "=", property: colour}
        - {slot: vegan, operator: "=", property: vegan}
      columns:
        price: {property: price, phrase: {zh: "{value}元", en: "¥{value}"}}
        brand: {property: {zh: name_zh, en: name}, path: [{out: MADE_BY, to: Brand}]}
        stock: {property: stock, in_list: false}
      order: [{by: price}]
      relax: [price, brand]
      limit: 5
  buy:
    kind: book
    required: [item, day]
    exact: [day]
    from_result: {item: [find_item]}
    booking:
      {label: Order, key: id, relation: OF, target: item, target_label: Item, properties: {at: day}, created: made}
  greet: {kind: chitchat}
  yes: {kind: meta, act: confirm}
templates:
  greet: {zh: "您好，可以{tasks}。", en: "Hello, I can {tasks}."}
examples:
  find_item:
    zh: ['[便宜](price)的商品']
    en: ['[cheap](price) things by [Acme](brand)']
  buy: {zh: ['买[铁砧](item)'], en: ['buy the [anvil](item)']}
  greet: {zh: [你好], en: [hello]}
  yes: {zh: [对], en: ['yes']}
"""
SCHEMA = GraphSchema(
    {
        "Item": {
            **dict.fromkeys(("sku", "name", "name_zh", "colour"), "string"),
            **{"price": "integer", "vegan": "boolean", "stock": "integer"},
        },
        "Brand": {"id": "string", "name": "string", "name_zh": "string", "aliases": "list", "size": "integer"},
    },
    frozenset({("Item", "MADE_BY", "Brand"), ("Item", "SOLD_AT", "Brand")}),
    {"SOLD_AT": {"metres": "integer", "place": "string"}},
)
NEAR = "{slot: brand, operator: near, distance: metres, path: [{out: SOLD_AT, to: Brand}]}"
BRAND = "{slot: brand, operator: node, path: [{out: MADE_BY, to: Brand}]}"


def opened(folder: Path, text: str | bytes) -> Domain:
    """Read and held against the graph."""
    path = folder / "shop.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    domain = Domain.load(path)
    check(domain, SCHEMA)
    return domain


def refusal(folder: Path, text: str | bytes) -> str:
    with pytest.raises(DomainError) as caught:
        opened(folder, text)
    return str(caught.value)


def test_the_file_that_the_mistakes_are_made_in_is_right(tmp_path: Path) -> None:
    assert opened(tmp_path, SHOP).name == "shop"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        # settings against one another
        ("low: 1\n", "low: 9001\n", "slots.price.low is 9001, above high"),
        ("many: true, title", "many: true, low: 3, title", "slots.brand.low belongs to slots of type price"),
        ("type: boolean}", "type: boolean, many: true}", "slots.vegan.many is for slots of type name"),
        ("type: time,", "type: time, labels: [Item],", "slots.day.labels belongs to slots of type name"),
        ("type: boolean}", "type: boolean, expires_after: -1}", "slots.vegan.expires_after is -1"),
        ("type: time,", "type: time, bands: {late: {en: [late]}},", "slots.day.bands belongs to slots of type"),
        ("cheap: [null, 20]", "cheap: [30, 20]", "bands.cheap begins at 30, above its end 20"),
        ("cheap: [null, 20]", "cheap: [null, null]", "bands.cheap has two open ends"),
        ("cheap: [null, 20]", "cheap: [null, 20], dare: [1, 2]", 'bands.dare is no band of slot "price": did you mean'),
        ("en: [expensive]", "en: [Cheap]", 'slots.price.bands.dear has "cheap", which "cheap" has too'),
        ("en: [blue]", "en: [red]", 'slots.colour.choices.blue has "red", which "red" has too'),
        ("red: {zh: [红], en: [red]}", "red: {}", "slots.colour.choices.red has no words"),
        ("kind: chitchat}", "kind: chitchat, act: help}", "intents.greet.act belongs to an intent of kind meta"),
        ("kind: chitchat}", "kind: chitchat, required: [day]}", "intents.greet.required belongs to intents of kind"),
        ("exact: [day]", "exact: [item]", 'intents.buy.exact names "item", of type name: only a time'),
        ("exact: [day]", "exact: [price]", 'intents.buy.exact names "price", which this intent lacks'),
        ("required: [item, day]", "required: [item, day, day]", 'intents.buy.required names "day" twice'),
        ("required: [item, day]", "required: [item, day]\n    optional: [day]", "which is required as well"),
        ("required: [item, day]", "required: [day]\n    optional: [item]", 'booking.target is "item", which is not'),
        ("exact: [day]", "instead: {day: [day]}", "intents.buy.instead.day stands for itself"),
        ("limit: 5", "limit: 1001", "query.limit is 1001, expected 1 to 1000"),
        ("label: Order,", "label: Item,", 'booking.label is "Item", what is booked'),
        ("key: id, relation", "key: number, relation", 'booking.key is "number", but labels.Order.key is "id"'),
        ("created: made", "created: at", 'booking.created is "at", which the booking writes already'),
        ("properties: {at: day}", "properties: {id: day}", "booking.properties.id is the key"),
        ("properties: {at: day}", "properties: {}", 'booking.properties lack slot "day", which is asked for'),
        ("order: [{by: price}]", "order: [{by: price}, {by: price}]", 'order sorts by "price" twice'),
        ("optional: [brand", "carry_over: {brand: [find_item]}\n    optional: [brand", "names the intent itself"),
        ("created: made", "cancelled: at", 'booking.cancelled is "at", which the booking writes already'),
        ("type: boolean}", "type: boolean, units: {en: [pieces]}}", "slots.vegan.units belongs to slots of type price"),
        # operators
        (BRAND, BRAND.replace("node,", "node, within: 5,"), "filters.0.within belongs to operator near"),
        (BRAND, NEAR.replace("metres,", "metres, within: -5,"), "filters.0.within is -5, expected a distance above 0"),
        (BRAND, NEAR.replace("distance: metres, ", ""), "filters.0.distance is missing"),
        (
            'operator: "=", property: vegan',
            "operator: range, property: vegan",
            'operator is "range", which slot "vegan"',
        ),
        (
            "property: vegan}\n      col",
            "property: vegan, clock: true}\n      col",
            "filters.3.clock is for slots of type",
        ),
        ("      columns:", f"        - {BRAND}\n      columns:", 'filters.4 is a second filter for slot "brand"'),
        # references
        ("item: [find_item]", "item: [buy]", 'from_result.item names "buy", which finds nothing'),
        ("item: [find_item]", "day: [find_item]", 'names "find_item", which finds Item; slot "day" holds no nodes'),
        ("from_result: {", "carry_over: {day: [find_item]}\n    from_result: {", 'has no slot "day" to carry over'),
        ("target: item,", "target: day,", 'booking.target is "day", of type time'),
        ("by: price", "by: brand", 'order.0.by is "brand", which stands at the end of a path'),
        ("by: price", "by: stock", 'order.0.by is "stock", which is not told in a list'),
        ("relax: [price, brand]", "relax: [price, day]", 'relax names "day"'),
        # what nothing reaches
        ("  vegan: {type: boolean}", "  vegan: {type: boolean}\n  size: {type: number}", "slots.size is in no intent"),
        ("  Order: {key", "  Shop: {key: id, names: {}}\n  Order: {key", "labels.Shop is in no slot, path"),
        (
            "  yes: {kind: meta, act: confirm}",
            "  'no': {kind: meta, act: deny}\n  yes: {kind: meta, act: confirm}",
            "intents.no has no examples",
        ),
        ("    en: ['[cheap](price) things by [Acme](brand)']\n", "", 'examples.find_item has no examples in "en"'),
        (
            "  greet: {kind: chitchat}",
            "  chat: {kind: chitchat}\n  greet: {kind: chitchat}",
            "intents.chat is of kind chitchat and has no answer",
        ),
        (
            "  yes: {kind: meta, act: confirm}",
            "  ok: {kind: meta, act: confirm}\n  yes: {kind: meta, act: confirm}",
            'intents.yes.act is "confirm", which intent ok stands for already',
        ),
        # words
        ("Hello, I can {tasks}.", "Hello {user}.", "templates.greet.en.0 has a field {user} that nobody fills"),
        ("Hello, I can {tasks}.", "Hello, I can {tasks", "templates.greet.en.0 has a brace that encloses no field"),
        ("templates:\n", "templates:\n  gret: {en: Hi}\n", "templates.gret is no template, nor an intent of kind chit"),
        ('"¥{value}"', '"¥{price}"', "columns.price.phrase.en has a field {price} that nobody fills"),
        ('"Which day?"', '"Which day, {name}?"', "slots.day.questions.en.0 has a field {name}"),
        ("en: [hello]", "en: [hello, 'yes']", 'examples.yes.en.0 is "yes", which stands under greet too'),
        ("'[cheap](price) things", "'[ ](price) things", "marks nothing as a slot"),
        # reserved and odd names
        (
            "  greet: {kind: chitchat}",
            "  oos: {kind: chitchat}\n  greet: {kind: chitchat}",
            "intents.oos is a reserved",
        ),
        ("        stock: {", "        distance: {", "columns.distance is a reserved name"),
        ("  vegan: {type", "  've gan': {type: boolean}\n  vegan: {type", "has a bracket or a space in its name"),
        # types of the file
        ("name: shop", "name: [shop]", "name is a list, expected one text"),
        ("name: shop", "name:", "name is empty, expected a text"),
        ("low: 1\n", "low: .nan\n", 'slots.price.low is ".nan", expected a number'),
        ("low: 1\n", "low: 1e999\n", 'slots.price.low is "1e999", expected a number'),
        ("limit: 5", "limit: 2.5", "limit is 2.5, expected a whole number"),
        ("slots:\n", "slots: none\nslots2:\n", "slots2 is not known here"),
        ("many: true", "many: maybe", 'slots.brand.many is "maybe"'),
        ("languages: [zh, en]", "languages: []", "languages is []"),
        ("languages: [zh, en]", "languages: [en]", 'examples.find_item.zh is in "zh", which languages does not list'),
        ("name: shop", "name: !mine shop", "the tag !mine means nothing here"),
        ("name: shop", "? [a, b]\n: c\nname: shop", "a name is a list, expected a text"),
        ("labels:\n", "labels: &all\n  Loop: *all\n", "an entry holds itself"),
        ("  brand: {type", "\tbrand: {type", "indent with spaces, not tabs"),
        ("name: shop", "name: a\n---\nname: shop", "not YAML"),
        ("name: shop", "name: sh\x07op", "a character that no text has"),
        (
            "type: time,",
            "type: time, offers: {en: [banana]},",
            'slots.day.offers.en.0 is "banana", which is not underst',
        ),
        # the live graph
        ('operator: "=", property: vegan', 'operator: "=", property: name', "is a string in the graph; operator ="),
        ("property: price, bands", "property: name, bands", 'compares slot "price" of type price with a integer or'),
        ("aliases: aliases", "aliases: size", 'labels.Brand.aliases is "size", a integer'),
        (BRAND, NEAR.replace("metres", "place"), 'distance is "place", a string in the graph'),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in SHOP
    text = SHOP.replace(old, new, 1)
    message = refusal(tmp_path, text)
    assert told in message, message
    first = next(row for row in message.splitlines() if told in row)
    file, line, _ = first.split(":", 2)
    assert file == "shop.yaml"
    assert 1 <= int(line) <= text.count("\n") + 1


def test_the_loaders_own_label_is_nobodys(tmp_path: Path) -> None:
    assert "labels.PagodaLoad is a reserved name" in refusal(tmp_path, SHOP.replace("Order", "PagodaLoad"))


def test_the_line_is_that_of_the_mistake(tmp_path: Path) -> None:
    text = SHOP.replace("by: price", "by: stock").replace("low: 1\n", "low: 9001\n")
    lines = [int(row.split(":")[1]) for row in refusal(tmp_path, text).splitlines()]
    assert [text.splitlines()[line - 1].strip()[:8] for line in lines] == ["low: 900", "order: ["]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + SHOP,
        SHOP.replace("\n", "\r\n"),
        SHOP.replace("  Brand: {key: id, ", "  Brand: {<<: *named, aliases: aliases, ")
        .replace("{zh: name_zh, en: name}, aliases: aliases}", "{zh: name_zh, en: name}}")
        .replace("labels:\n  Item:", "labels:\n  Item: &item")
        .replace("<<: *named", "<<: [*item], key: id"),
        SHOP.replace("brand", "牌-子").replace("by: brand", "by: 牌-子"),
        SHOP.replace("languages: [zh, en]\n", ""),
    ],
    ids=["byte order mark", "windows line ends", "merged entries", "a slot in Chinese with a dash", "both languages"],
)
def test_what_is_only_unusual_is_taken(tmp_path: Path, text: str) -> None:
    assert opened(tmp_path, text).labels["Brand"].key == "id"


@pytest.mark.parametrize("encoding", ["gbk", "utf-16"])
def test_another_encoding_is_named_as_what_it_is(tmp_path: Path, encoding: str) -> None:
    assert "save it as UTF-8" in refusal(tmp_path, SHOP.encode(encoding, "replace"))


def test_an_empty_graph_is_one_problem_with_the_way_out(tmp_path: Path) -> None:
    domain = opened(tmp_path, SHOP)
    with pytest.raises(DomainError) as caught:
        check(domain, GraphSchema({}, frozenset()))
    assert str(caught.value).count("\n") == 0
    assert "pagoda graph load" in str(caught.value)


def test_a_template_in_one_language_keeps_the_shipped_one_in_the_other(tmp_path: Path) -> None:
    domain = opened(tmp_path, SHOP.replace('zh: "您好，可以{tasks}。", ', ""))
    assert domain.template("greet", "en")[0].startswith("Hello, I can")
    assert domain.template("greet", "zh")[0].startswith("您好")


def test_a_file_that_is_wrong_all_over_is_told_of_in_twenty_lines(tmp_path: Path) -> None:
    domain = Domain.load(CITY)
    with pytest.raises(DomainError) as caught:
        check(domain, SCHEMA)
    rows = str(caught.value).splitlines()
    assert len(rows) <= 21
    assert "more" in rows[-1] or len(rows) < 21


LINES = SHOP.splitlines()


@given(
    st.integers(0, len(LINES) - 1),
    st.one_of(
        st.just(None),
        st.sampled_from(["null", "[]", "{}", "-1", "1e999", "no", "*x", "&a b", "'", "%", "? x", "- x", "\t", "<<: 3"]),
        st.text(max_size=12),
    ),
    st.booleans(),
)
def test_whatever_is_done_to_a_line_the_file_is_taken_or_refused_with_a_line(
    tmp_path_factory: pytest.TempPathFactory, row: int, put: str | None, keeps_name: bool
) -> None:
    head = LINES[row].split(":")[0] + ": " if keeps_name and ":" in LINES[row] else ""
    rows = [*LINES[:row], *([] if put is None else [head + put]), *LINES[row + 1 :]]
    text = "\n".join(rows).encode("utf-8", "surrogatepass")
    told = ""
    try:
        opened(tmp_path_factory.getbasetemp(), text)
    except DomainError as error:
        told = str(error)
    assert not told or re.match(r"shop\.yaml:\d+: ", told)
