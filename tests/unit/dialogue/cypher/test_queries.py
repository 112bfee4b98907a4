"""The compiler: which statement each question becomes, that it runs, and that nobody can change it from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pagoda.dialogue.cypher import names
from pagoda.dialogue.cypher.bookings import booking_key, compile_booking, compile_hours
from pagoda.dialogue.cypher.queries import (
    compile_choices,
    compile_names,
    compile_property,
    compile_query,
    compile_result,
    node_of,
    relaxations,
)
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Column, Filter, GraphQuery, Intent, Label, Order, Slot, Step
from pagoda.dialogue.errors import DomainError
from pagoda.dialogue.slots.kinds import Band, Except, NodeValue, OneOf, Range, Value, When
from pagoda.errors import InvalidParameterError
from pagoda.graph.graph import Graph
from pagoda.graph.schema import GraphSchema
from pagoda.graph.statement import Statement

CITY = Domain.load()
SICHUAN = NodeValue("Cuisine", "cuisine-001", "川菜", "Sichuan")
HUNAN = NodeValue("Cuisine", "cuisine-003", "湘菜", "Hunan")
BEIJING = NodeValue("Cuisine", "cuisine-008", "北京菜", "Beijing")
OFFICE = NodeValue("Landmark", "landmark-001", "青岚科技", "Qinglan Technology")
SONGYUE = NodeValue("District", "district-001", "松月区", "Songyue")
TILE = NodeValue("Restaurant", "restaurant-001", "青瓦小馆", "Green Tile Kitchen")
WIFI, PARKING = NodeValue("Facility", "facility-001"), NodeValue("Facility", "facility-002")
# What a person, a page or a row may hold; none of it may reach a statement's text.
ATTACKS = (
    "x' OR 1=1 //",
    '"}) DETACH DELETE n //',
    "`) MATCH (m) DETACH DELETE m RETURN (`",
    "$p0_cuisine",
    "\\u0060) SET n.price = 0 //",
    "川菜'}) CREATE (:Evil) WITH 1 AS x MATCH (n",
    "*/ CALL dbms.shutdown() /*",
    "LOAD CSV FROM 'http://x' AS l RETURN l",
    "{tasks}",
    "\x00\n\r\t",
)
WRITES = re.compile(r"\b(CREATE|SET|DELETE|REMOVE|MERGE|DETACH|LOAD|CALL|FOREACH|DROP)\b")


def rows_of(graph: Graph, statement: Statement) -> list[dict[str, object]]:
    return graph.read(statement.text, statement.parameters)


def query(graph: Graph, intent: str, **filters: Value) -> Statement:
    return compile_query(CITY, intent, filters, graph.schema())


def read_statements(graph: Graph, text: str = "restaurant-001") -> Iterator[Statement]:
    """One of every kind that reads, with `text` wherever a value can stand."""
    schema = graph.schema()
    yield query(graph, "find_restaurant", cuisine=replace(SICHUAN, key=text), location=replace(OFFICE, key=text))
    yield query(graph, "find_hotel", facility=(replace(WIFI, key=text), PARKING), stars=Range(3, None))
    yield query(graph, "find_film", time=When(text.ljust(20, "x"), text.ljust(20, "x")))
    place = OneOf((replace(OFFICE, key=text), replace(SONGYUE, key=text)))
    yield query(graph, "find_restaurant", location=place, cuisine=Except((replace(SICHUAN, key=text),)))
    yield compile_query(CITY, "find_hotel", {"price": Band("cheap")}, schema, order=Order("price"))
    choices = compile_choices(CITY, "find_restaurant", "cuisine", {"location": replace(SONGYUE, key=text)}, schema)
    assert choices is not None
    yield choices
    yield compile_property(CITY, "find_restaurant", "phone", text, schema)
    yield compile_result(CITY, "find_film", text, schema)
    hours = compile_hours(CITY, "book_restaurant", {"name": replace(TILE, key=text)}, schema)
    assert hours is not None
    yield hours
    yield compile_names(CITY, "Cuisine", schema, passed=3)


def test_a_query_finds_what_fits_the_nearest_first(city_graph: Graph) -> None:
    found = rows_of(city_graph, query(city_graph, "find_restaurant", location=OFFICE, price=Range(None, 150)))
    assert len(found) == 5
    distances = [int(str(row["distance"])) for row in found]
    assert distances == sorted(distances)
    assert all(int(str(row["price"])) <= 150 for row in found)


def test_a_band_means_what_the_intent_says(city_graph: Graph) -> None:
    for intent, limit in (("find_restaurant", 60), ("find_hotel", 250)):
        found = rows_of(city_graph, query(city_graph, intent, price=Band("cheap")))
        assert found
        assert all(int(str(row["price"])) <= limit for row in found)


def test_every_value_of_many_must_fit(city_graph: Graph) -> None:
    both = rows_of(city_graph, query(city_graph, "find_hotel", facility=(WIFI, PARKING)))
    for row in both:
        offered = rows_of(
            city_graph, compile_property(CITY, "find_hotel", "facilities", str(row["key"]), city_graph.schema())
        )
        assert {"Free Wi-Fi", "Parking"} <= set(offered[0]["facilities_en"])  # type: ignore[call-overload]


def _cuisines(row: dict[str, object]) -> set[str]:
    held = row["cuisine_en"]
    assert isinstance(held, list)
    return set(held)


def test_one_of_several_values_fits(city_graph: Graph) -> None:
    found = rows_of(city_graph, query(city_graph, "find_restaurant", cuisine=OneOf((SICHUAN, HUNAN))))
    assert all(_cuisines(row) & {"Sichuan", "Hunan"} for row in found)
    ends = query(city_graph, "find_restaurant", price=OneOf((Band("cheap"), Band("expensive"))), cuisine=SICHUAN)
    prices = [int(str(row["price"])) for row in rows_of(city_graph, ends)]
    assert min(prices) <= 60
    assert max(prices) > 150
    assert not [price for price in prices if 60 < price <= 150]


def test_values_of_one_slot_may_lie_on_several_paths(city_graph: Graph) -> None:
    def keys(place: Value) -> set[object]:
        statement = compile_query(CITY, "find_hotel", {"location": place}, city_graph.schema(), 60)
        return {row["key"] for row in rows_of(city_graph, statement)}

    assert keys(OneOf((OFFICE, SONGYUE))) == keys(OFFICE) | keys(SONGYUE)
    assert keys((OFFICE, SONGYUE)) == keys(OFFICE) & keys(SONGYUE) != set()


def test_what_is_excluded_is_not_found(city_graph: Graph) -> None:
    no_sichuan = Except((SICHUAN,), OneOf((HUNAN, BEIJING)))
    found = rows_of(city_graph, query(city_graph, "find_restaurant", cuisine=no_sichuan))
    assert found
    assert all("Sichuan" not in _cuisines(row) and _cuisines(row) & {"Hunan", "Beijing"} for row in found)
    not_cheap = query(city_graph, "find_restaurant", price=Except((Band("cheap"),)), location=OFFICE)
    assert all(int(str(row["price"])) > 60 for row in rows_of(city_graph, not_cheap))
    elsewhere = query(city_graph, "find_restaurant", location=Except((SONGYUE,)))
    assert all(row["district_en"] != "Songyue" for row in rows_of(city_graph, elsewhere))


def test_what_the_graph_does_not_know_is_no_excluded_word() -> None:
    unlike = compile_query(chinese(Filter("a", "=", "评分")), "找", {"a": Except((4.5,))}, SCHEMA)
    assert "\nWHERE (n.`评分` IS NULL OR NOT (n.`评分` = $p0_a))\n" in unlike.text
    outside = compile_query(chinese(Filter("a", "range", "评分")), "找", {"a": Except((Range(4, 5),))}, SCHEMA)
    assert "\nWHERE NOT (n.`评分` >= $p0_a AND n.`评分` <= $p1_a)\n" in outside.text


def test_one_of_what_is_to_hold_together_is_given_up_before_all_of_it() -> None:
    both = relaxations(CITY, "find_hotel", {"facility": (WIFI, PARKING)})
    assert [(each.filters, each.given) for each in both] == [
        ({"facility": WIFI}, {"facility": PARKING}),
        ({"facility": PARKING}, {"facility": WIFI}),
        ({}, {"facility": (WIFI, PARKING)}),
    ]
    mixed = relaxations(CITY, "find_hotel", {"facility": Except((PARKING,), (WIFI,))})
    assert [each.given for each in mixed] == [
        {"facility": WIFI},
        {"facility": Except((PARKING,))},
        {"facility": Except((PARKING,), (WIFI,))},
    ]
    assert mixed[0].filters == {"facility": Except((PARKING,))}
    assert mixed[1].filters == {"facility": WIFI}


def test_an_order_that_was_asked_for_comes_before_the_nearest(city_graph: Graph) -> None:
    schema = city_graph.schema()
    for column, descending in (("price", False), ("rating", True)):
        order = Order(column, descending)
        statement = compile_query(CITY, "find_restaurant", {"location": OFFICE}, schema, order=order)
        values = [float(str(row[column])) for row in rows_of(city_graph, statement)]
        assert values == sorted(values, reverse=descending)
    longest = compile_query(CITY, "find_film", {}, schema, 3, Order("duration", True))
    durations = [int(str(row["duration"])) for row in rows_of(city_graph, longest)]
    assert durations == sorted(durations, reverse=True)
    with pytest.raises(DomainError, match="cannot be sorted by cuisine"):
        compile_query(CITY, "find_restaurant", {}, schema, order=Order("cuisine"))


def test_a_relation_s_property_is_told_of_the_node_that_was_looked_for(city_graph: Graph) -> None:
    base = CITY.intents["find_restaurant"]
    assert base.query is not None
    far = Column("far", {"": "distance_m"}, {}, (Step("NEAR", "Landmark"),), many=True, of="relation")
    intents = {**CITY.intents, "find_restaurant": replace(base, query=replace(base.query, columns=(far,), order=()))}
    domain = replace(CITY, intents=intents)
    near = compile_query(domain, "find_restaurant", {"location": OFFICE}, city_graph.schema())
    assert [row["far"] for row in rows_of(city_graph, near)] == [[row["distance"]] for row in rows_of(city_graph, near)]
    (row,) = rows_of(city_graph, compile_property(domain, "find_restaurant", "far", TILE.key, city_graph.schema()))
    assert isinstance(row["far"], list)
    assert 540 in row["far"]


def test_a_time_filters_by_the_clock_and_a_night_ends_with_the_day(city_graph: Graph) -> None:
    at_eight = query(city_graph, "find_film", time=When("2026-11-21T20:00"))
    night = query(city_graph, "find_film", time=When("2026-11-21T18:00", "2026-11-22T00:00"))
    assert list(at_eight.parameters.values()) == ["20:00"]
    assert list(night.parameters.values()) == ["18:00", "23:59"]
    assert rows_of(city_graph, night)


def test_of_tonights_films_only_tonights_showings_are_told(city_graph: Graph) -> None:
    night = query(city_graph, "find_film", time=When("2026-11-21T18:00", "2026-11-22T00:00"))
    shown = [time for row in rows_of(city_graph, night) for time in row["times"]]  # type: ignore[attr-defined]
    assert shown
    assert all("18:00" <= time <= "23:59" for time in shown)
    every = [time for row in rows_of(city_graph, query(city_graph, "find_film")) for time in row["times"]]  # type: ignore[attr-defined]
    assert min(every) < "18:00"


def test_the_hours_of_what_is_booked_are_looked_up(city_graph: Graph) -> None:
    statement = compile_hours(CITY, "book_restaurant", {"name": TILE}, city_graph.schema())
    assert statement is not None
    assert not statement.writes
    assert rows_of(city_graph, statement) == [{"opens": "11:30", "closes": "23:30"}]
    booking = CITY.intents["book_restaurant"].booking
    assert booking is not None
    unsaid = replace(CITY.intents["book_restaurant"], booking=replace(booking, hours=None))
    domain = replace(CITY, intents={**CITY.intents, "book_restaurant": unsaid})
    assert compile_hours(domain, "book_restaurant", {"name": TILE}, city_graph.schema()) is None


def test_the_same_question_gets_the_same_rows_every_time(city_graph: Graph) -> None:
    statement = query(city_graph, "find_film", genre=NodeValue("Genre", "genre-001"))
    first = rows_of(city_graph, statement)
    assert all(rows_of(city_graph, statement) == first for _ in range(3))
    assert [row["times"] == sorted(row["times"]) for row in first] == [True] * len(first)  # type: ignore[call-overload]


def test_choices_are_nodes_that_leave_something_to_be_found(city_graph: Graph) -> None:
    statement = compile_choices(CITY, "find_restaurant", "cuisine", {"location": OFFICE}, city_graph.schema())
    assert statement is not None
    for row in rows_of(city_graph, statement):
        cuisine = node_of(row, "Cuisine")
        assert rows_of(city_graph, query(city_graph, "find_restaurant", cuisine=cuisine, location=OFFICE))
    assert compile_choices(CITY, "book_restaurant", "people", {}, city_graph.schema()) is None
    tables = compile_choices(CITY, "book_restaurant", "name", {}, city_graph.schema())
    assert tables is not None
    assert node_of(rows_of(city_graph, tables)[0], "Restaurant") == TILE


def test_columns_are_those_that_the_statement_promises(city_graph: Graph) -> None:
    for statement in read_statements(city_graph):
        for row in rows_of(city_graph, statement):
            assert tuple(row) == statement.columns
            assert all(not isinstance(value, dict) for value in row.values())


def test_every_reading_statement_has_distinct_limit_and_no_write(city_graph: Graph) -> None:
    for statement in read_statements(city_graph):
        assert "DISTINCT" in statement.text
        assert re.search(r"LIMIT \d+$", statement.text)
        assert not WRITES.search(statement.text)
        assert not statement.writes


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_value_changes_a_statement_or_writes(city_graph: Graph, attack: str) -> None:
    count = "MATCH (n) RETURN count(n) AS num, sum(n.price) AS prices"
    before = city_graph.read(count)
    plain = [statement.text for statement in read_statements(city_graph)]
    attacked = list(read_statements(city_graph, attack))
    assert [statement.text for statement in attacked] == plain
    for statement in attacked:
        rows_of(city_graph, statement)
    assert city_graph.read(count) == before


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_booking_keeps_an_attack_as_plain_data(city_graph: Graph, attack: str) -> None:
    schema, key = city_graph.schema(), booking_key(f"attack{attack}", 1)
    values: dict[str, Value] = {"name": TILE, "time": When(attack), "people": 2}
    statement = compile_booking(CITY, "book_restaurant", values, key, attack, schema)
    assert attack not in statement.text
    before = city_graph.read("MATCH (n:Restaurant) RETURN count(n) AS num, sum(n.price) AS prices")
    city_graph.write(statement.text, statement.parameters)
    (kept,) = city_graph.read("MATCH (b:Booking {id: $key}) RETURN b.time AS time LIMIT 1", {"key": key})
    assert kept["time"] == attack
    assert city_graph.read("MATCH (n:Restaurant) RETURN count(n) AS num, sum(n.price) AS prices") == before


@pytest.mark.parametrize(
    "name",
    [
        "Restaurant`) DETACH DELETE n //",
        "a`b",
        "a\\u0060b",
        "a\nb",
        "",
        " Restaurant",
        "x" * 101,
        "e\u0301",
        "a\u200bb",
        "\ufeffa",
    ],
)
def test_an_odd_name_is_refused_and_not_escaped(name: str) -> None:
    with pytest.raises(DomainError):
        names.quoted(name)


def test_a_name_that_the_graph_lacks_does_not_reach_a_statement(city_graph: Graph) -> None:
    schema = city_graph.schema()
    base = CITY.intents["find_restaurant"]
    assert base.query is not None
    evil = "Restaurant`) DETACH DELETE n //"
    broken = [
        replace(base.query, label=evil),
        replace(base.query, filters=(Filter("price", "range", evil),)),
        replace(base.query, filters=(Filter("cuisine", "node", path=(Step(evil, "Cuisine"),)),)),
        replace(base.query, filters=(Filter("cuisine", "node", path=(Step("HAS_CUISINE", evil),)),)),
        replace(base.query, columns=(Column(evil, {"": "price"}, {}),)),
        replace(base.query, columns=(Column("price", {"": evil}, {}),)),
        replace(base.query, columns=(Column("price", {"": "price"}, {}),), order=(Order(evil),)),
    ]
    labels = {**CITY.labels, evil: Label(evil, "id", {})}
    for query_ in broken:
        intents = {**CITY.intents, "find_restaurant": replace(base, query=query_)}
        domain = replace(CITY, intents=intents, labels=labels)
        filters: dict[str, Value] = {"price": Range(None, 9)} if "price" in {f.slot for f in query_.filters} else {}
        filters |= {"cuisine": SICHUAN} if "cuisine" in {f.slot for f in query_.filters} else {}
        with pytest.raises(DomainError):
            compile_query(domain, "find_restaurant", filters, schema)


def test_a_booking_cannot_be_made_to_write_under_an_odd_name(city_graph: Graph) -> None:
    base = CITY.intents["book_restaurant"]
    assert base.booking is not None
    values: dict[str, Value] = {"name": TILE, "time": When("2026-11-21T19:00"), "people": 2}
    evil = "Booking`) DETACH DELETE t //"
    for booking in (
        replace(base.booking, label=evil),
        replace(base.booking, relation=evil),
        replace(base.booking, key=evil),
        replace(base.booking, properties={evil: "time"}),
        replace(base.booking, created=evil),
    ):
        domain = replace(CITY, intents={**CITY.intents, "book_restaurant": replace(base, booking=booking)})
        with pytest.raises(DomainError):
            compile_booking(domain, "book_restaurant", values, "k", "now", city_graph.schema())


def test_a_booking_that_is_sent_twice_is_written_once(city_graph: Graph) -> None:
    key = booking_key("twice", 1)
    values: dict[str, Value] = {"name": TILE, "time": When("2026-11-21T19:00"), "people": 4}
    statement = compile_booking(CITY, "book_restaurant", values, key, "2026-11-21T10:00", city_graph.schema())
    assert statement.writes
    for _ in range(3):
        assert city_graph.write(statement.text, statement.parameters) == [{"key": key}]
    later = compile_booking(
        CITY, "book_restaurant", {**values, "people": 9}, key, "2026-11-22T10:00", city_graph.schema()
    )
    city_graph.write(later.text, later.parameters)
    found = city_graph.read(
        "MATCH (b:Booking {id: $key})-[:FOR]->(r) RETURN b.people AS people, r.id AS restaurant LIMIT 5", {"key": key}
    )
    assert found == [{"people": 4, "restaurant": "restaurant-001"}]


def test_a_booking_of_what_is_gone_writes_nothing(city_graph: Graph) -> None:
    values: dict[str, Value] = {
        "name": replace(TILE, key="restaurant-999"),
        "time": When("2026-11-21T19:00"),
        "people": 4,
    }
    key = booking_key("gone", 1)
    statement = compile_booking(CITY, "book_restaurant", values, key, "now", city_graph.schema())
    assert city_graph.write(statement.text, statement.parameters) == []
    assert city_graph.read("MATCH (b:Booking {id: $key}) RETURN b.id AS id LIMIT 1", {"key": key}) == []


def test_a_booking_key_is_of_its_session_and_task() -> None:
    keys = {booking_key(session, task) for session in ("a", "b", "a:1", "1:a") for task in (1, 11)}
    assert len(keys) == 8


def test_one_slot_after_the_other_is_given_up() -> None:
    filters: dict[str, Value] = {
        "cuisine": SICHUAN,
        "location": OFFICE,
        "price": Band("cheap"),
        "rating": Range(4, None),
    }
    tried = [each.slots for each in relaxations(CITY, "find_restaurant", filters)]
    assert tried == [
        ("rating",),
        ("price",),
        ("location",),
        ("rating", "price"),
        ("rating", "price", "location"),
    ]
    assert all("cuisine" in each.filters for each in relaxations(CITY, "find_restaurant", filters))


@pytest.mark.parametrize("limit", [0, -1, 1001, True, 2.5, "5; MATCH (n) DETACH DELETE n"])
def test_a_limit_is_a_checked_integer(city_graph: Graph, limit: int) -> None:
    with pytest.raises(InvalidParameterError):
        compile_query(CITY, "find_restaurant", {}, city_graph.schema(), limit=limit)


@pytest.mark.parametrize(
    ("slot", "value"), [("cuisine", 5), ("location", SICHUAN), ("price", Band("free")), ("price", True and When("x"))]
)
def test_a_value_that_its_filter_cannot_take_is_our_mistake(city_graph: Graph, slot: str, value: Value) -> None:
    if slot == "price" and isinstance(value, When):
        statement = compile_query(CITY, "find_restaurant", {slot: value}, city_graph.schema())
        assert statement.parameters == {"p0_price": "x"}
        return
    with pytest.raises(DomainError):
        compile_query(CITY, "find_restaurant", {slot: value}, city_graph.schema())


SCHEMA = GraphSchema(
    {"酒店": {"名称": "string", "标签": "list", "评分": "float"}, "设施": {"名称": "string"}},
    frozenset({("酒店", "酒店设施", "设施"), ("设施", "属于", "酒店")}),
)


def chinese(*filters: Filter) -> Domain:
    slots = {each.slot: Slot(each.slot, "text", {}) for each in filters}
    intent = Intent("找", "find", {}, query=GraphQuery("酒店", filters, (), limit=3))
    labels = {name: Label(name, "名称", {"zh": "名称"}) for name in ("酒店", "设施")}
    return Domain("京", ("zh",), labels, slots, {"找": intent})


@pytest.mark.parametrize(
    ("chosen", "value", "condition", "parameters"),
    [
        (Filter("a", "=", "名称"), "四季", "n.`名称` = $p0_a", {"p0_a": "四季"}),
        (Filter("a", "contains", "名称"), "四", "n.`名称` CONTAINS $p0_a", {"p0_a": "四"}),
        (Filter("a", "in", "名称"), ("x", "y"), "n.`名称` IN $p0_a", {"p0_a": ["x", "y"]}),
        (Filter("a", "in", "标签"), ("x", "y"), "$p0_a IN n.`标签` AND $p1_a IN n.`标签`", {"p0_a": "x", "p1_a": "y"}),
        (Filter("a", ">=", "评分"), 4.5, "n.`评分` >= $p0_a", {"p0_a": 4.5}),
        (Filter("a", "<=", "评分"), 4.5, "n.`评分` <= $p0_a", {"p0_a": 4.5}),
        (Filter("价-格", "<=", "评分"), 4.5, "n.`评分` <= $p0", {"p0": 4.5}),
        (Filter("a", "range", "评分"), Range(4, 5), "n.`评分` >= $p0_a AND n.`评分` <= $p1_a", {"p0_a": 4, "p1_a": 5}),
        (Filter("a", "range", "评分"), Range(8, None, is_above=True), "n.`评分` > $p0_a", {"p0_a": 8}),
        (Filter("a", "range", "评分"), Range(None, 9, is_below=True), "n.`评分` < $p0_a", {"p0_a": 9}),
        (
            Filter("a", "has", "名称", (Step("酒店设施", "设施"),), node="叫醒服务"),
            True,
            "f0_0.`名称` = $p0_a",
            {"p0_a": "叫醒服务"},
        ),
        (
            Filter("a", "has", "名称", (Step("酒店设施", "设施"),), node="叫醒服务"),
            False,
            "NOT EXISTS { MATCH (n)-[e_r0:`酒店设施`]->(e_0:`设施`) WHERE e_0.`名称` = $p0_a }",
            {"p0_a": "叫醒服务"},
        ),
    ],
)
def test_each_operator_has_one_shape(
    chosen: Filter, value: Value, condition: str, parameters: dict[str, object]
) -> None:
    statement = compile_query(chinese(chosen), "找", {chosen.slot: value}, SCHEMA)
    assert f"\nWHERE {condition}\n" in statement.text
    assert statement.parameters == parameters


def test_a_facility_that_is_not_wanted_is_left_out(city_graph: Graph) -> None:
    pool = Filter("pool", "has", "name_en", (Step("OFFERS", "Facility"),), node="Swimming pool")
    base = CITY.intents["find_hotel"]
    assert base.query is not None
    intents = {**CITY.intents, "find_hotel": replace(base, query=replace(base.query, filters=(pool,), limit=60))}
    domain = replace(CITY, intents=intents, slots={**CITY.slots, "pool": Slot("pool", "boolean", {})})
    found = {
        wanted: {
            row["key"]
            for row in rows_of(city_graph, compile_query(domain, "find_hotel", {"pool": wanted}, city_graph.schema()))
        }
        for wanted in (True, False)
    }
    assert found[True]
    assert found[False]
    assert not found[True] & found[False]
    assert len(found[True] | found[False]) == 60


def test_rows_without_a_value_come_last_both_ways() -> None:
    columns = (Column("rating", {"": "评分"}, {}),)
    for descending in (True, False):
        domain = chinese()
        sorted_query = GraphQuery("酒店", (), columns, (Order("rating", descending),))
        intents = {"找": replace(domain.intents["找"], query=sorted_query)}
        text = compile_query(replace(domain, intents=intents), "找", {}, SCHEMA).text
        assert text.index("`评分` IS NULL") < text.index("n.`评分`" + (" DESC" if descending else ","))


def test_a_statement_has_a_name_of_its_own(city_graph: Graph) -> None:
    one = query(city_graph, "find_restaurant", cuisine=SICHUAN)
    same = query(city_graph, "find_restaurant", cuisine=replace(SICHUAN, key="cuisine-002"))
    other = query(city_graph, "find_restaurant", price=Range(None, 9))
    assert one.statement_id == same.statement_id != other.statement_id
    assert one.statement_id.startswith("find_restaurant.")
