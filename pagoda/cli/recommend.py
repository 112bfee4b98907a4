"""`pagoda recommend train | eval | ask | serve`: what a person would like next, from a file of events.

Beside the token's path. Without a file the invented city's made-up visits are taken, so that the first minute shows a
list and a page.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pagoda.cli.console.environment import api_keys
from pagoda.cli.console.messages import CHINESE, Messages
from pagoda.cli.console.options import ADDRESS_OPTIONS, Settings, server_settings, with_options
from pagoda.cli.console.terminal import Terminal
from pagoda.errors import ConfigError, MissingExtraError, nearest

if TYPE_CHECKING:
    from pagoda.recommend.data.interactions import InteractionLog
    from pagoda.recommend.data.things import CatalogueItem
    from pagoda.recommend.recommendation import Recommendation
    from pagoda.recommend.recommender import RecommenderSettings

recommend = typer.Typer(help="Recommend: lists with true reasons, from what people took.", no_args_is_help=True)
_DEFAULT_FOLDER = Path("pagoda-recommend")
Events = Annotated[
    Path | None,
    typer.Argument(
        help="A .csv, .tsv, .jsonl or MovieLens .dat with user, item, timestamp; otherwise the invented city's visits."
    ),
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", help="What user, item and timestamp are called there: userId,movieId,timestamp, say."),
]
Network = Annotated[
    bool, typer.Option("--network", help="Train a sequence network, too, twice: minutes where the rest takes seconds.")
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `train` wrote.")]


@dataclass(frozen=True)
class RecommendWords:
    """Templates of what the commands tell a person."""

    read: str
    trained: str
    because: str
    popular: str
    unpopular: str
    expected: str
    learning: str
    asked: str
    nothing: str


_ENGLISH = RecommendWords(
    read="{events} events of {users} people, {items} items",
    trained="{name} in {folder} after {seconds:.1f} s: {models}",
    because="because of {names}",
    popular="popular of late",
    unpopular="less taken of late",
    expected="expected next by the network",
    learning="network: step {done} of {total}",
    asked="{split}: {asked} events of {users} people are asked",
    nothing="nothing is left for {user}: of {items} items each is taken or blocked",
)
_CHINESE = RecommendWords(
    read="{users} 人的 {events} 条记录，{items} 件物品",
    trained="{folder} 中的 {name}，用时 {seconds:.1f} 秒：{models}",
    because="因为 {names}",
    popular="近来受欢迎",
    unpopular="近来选的人较少",
    expected="网络预计接下来会选",
    learning="网络：第 {done} 步，共 {total} 步",
    asked="{split}：考察 {users} 人的 {asked} 条记录",
    nothing="没有可推荐给 {user} 的了：{items} 件物品都已选过或屏蔽",
)


def _words(say: Messages) -> RecommendWords:
    return _CHINESE if say is CHINESE else _ENGLISH


@recommend.command(short_help="Learn from events.")
def train(
    ctx: typer.Context,
    events: Events = None,
    things: Annotated[Path | None, typer.Option("--things", help="JSONL of items: id, name, name_en, kinds.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help=f"Folder of the recommender [{_DEFAULT_FOLDER}].")] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="A recommender's folder: learn from what people did since, there.")
    ] = None,
    network: Network = False,
    columns: Columns = None,
) -> None:
    """Learn from events and keep all that answers need in a folder; again, it becomes the folder's next model."""
    from pagoda.recommend.folder import events_of, set_up, without_forgotten
    from pagoda.recommend.recommender import Recommender

    terminal: Terminal = ctx.obj
    words = _words(terminal.say)
    if source is not None and (events is not None or out is not None or columns is not None):
        raise ConfigError(
            f"--from {source} learns from that folder's events and writes there: leave EVENTS, --columns and --out out"
        )
    out = source or out or _DEFAULT_FOLDER
    if source is not None:
        log, described = events_of(source), _described(things)
    else:
        log, described = _data(events, things, out, columns=columns)
        log = without_forgotten(out, log)
    terminal.note(words.read.format(events=log.num_events, users=len(log.users), items=len(log.items)))
    began = time.perf_counter()
    recommender = Recommender.train(log, _settings(network, log), _told(terminal))
    name = set_up(out, None if source else log, described, recommender)
    models = ", ".join(recommender.ensemble.names)
    terminal.result(words.trained.format(name=name, folder=out, seconds=time.perf_counter() - began, models=models))


@recommend.command(name="eval", short_help="Measure against events that were held back.")
def evaluate_command(
    ctx: typer.Context,
    events: Events = None,
    split: Annotated[
        str,
        typer.Option("--split", help="last-share (the last tenth of each person), leave-last, global (one moment)."),
    ] = "last-share",
    k: Annotated[int, typer.Option("--k", help="Places of the list.")] = 10,
    network: Network = False,
    columns: Columns = None,
) -> None:
    """Hold back the later events, learn from the others, and rank all items: popularity and EASE beside ours."""
    from pagoda.recommend.comparison import SPLITS, compared

    terminal: Terminal = ctx.obj
    if split not in SPLITS:
        raise ConfigError(f"--split is {split!r}: {nearest(split, SPLITS)}")
    log, _ = _data(events, None, columns=columns)
    held = SPLITS[split](log)
    asked = sum(len(items) for items in held.asked.values())
    terminal.note(_words(terminal.say).asked.format(split=split, asked=asked, users=len(held.asked)))
    for name, report in compared(held, k, _settings(network, held.train)):
        terminal.result(f"{name:24} {report}")


@recommend.command(short_help="Show one person's list.")
def ask(
    ctx: typer.Context,
    user: Annotated[str, typer.Argument(help="A person's id; somebody unknown gets what is popular.")],
    folder: Folder = _DEFAULT_FOLDER,
    k: Annotated[int, typer.Option("--k", help="Places of the list.")] = 5,
) -> None:
    """Print the best items and why."""
    from pagoda.recommend.desk import Desk

    terminal: Terminal = ctx.obj
    desk = Desk(folder)
    try:
        found = desk.recommend(user, k)
        for place, one in enumerate(found, start=1):
            terminal.result(f"{place}. {_name(one.item, desk.things, terminal)}: {_reason(one, desk.things, terminal)}")
        if not found:
            terminal.note(_words(terminal.say).nothing.format(user=user, items=desk.facts()["items"]))
    finally:
        desk.close()


@recommend.command(short_help="Serve lists over HTTP, with a page.")
@with_options(address=ADDRESS_OPTIONS)
def serve(
    ctx: typer.Context,
    folder: Folder = _DEFAULT_FOLDER,
    graph: Annotated[
        str | None, typer.Option("--graph", help="embedded, or a graph's address: tells why something was shown.")
    ] = None,
    *,
    address: Settings,
) -> None:
    """`pagoda serve builtin --recommend DIR`, whose further options stand there; PAGODA_API_KEY holds keys."""
    try:
        from pagoda.server.config import ServerConfig
        from pagoda.server.serve import serve as run
    except ModuleNotFoundError as error:
        raise MissingExtraError("pagoda recommend serve", "server") from error
    from pagoda.cli.serve import tell
    from pagoda.engine.args import EngineArgs

    terminal: Terminal = ctx.obj
    keys = api_keys(os.environ)
    config = ServerConfig(**server_settings(address), recommend=folder, recommend_graph=graph, api_keys=keys)
    run(EngineArgs(model="builtin"), config, announce=lambda event, facts: tell(terminal, event, facts))


def _settings(network: bool, log: InteractionLog) -> RecommenderSettings:
    """As they are, with a network or without."""
    from pagoda.recommend.recommender import RecommenderSettings
    from pagoda.recommend.sequence.network import settings_for

    return RecommenderSettings(network=settings_for(log) if network else None)


def _told(terminal: Terminal) -> Callable[[int, int], None]:
    """A line for each fifth of a network's training."""

    def tell(done: int, total: int) -> None:
        if 5 * done // total != 5 * (done - 1) // total:
            terminal.note(_words(terminal.say).learning.format(done=done, total=total))

    return tell


def _data(
    events: Path | None, things: Path | None, out: Path | None = None, *, columns: str | None = None
) -> tuple[InteractionLog, list[CatalogueItem] | None]:
    """What was given, or the city, but for a folder `out` of somebody's own. Raises ConfigError."""
    from pagoda.recommend.data.city import draw_visits, read_city
    from pagoda.recommend.data.interactions import named_columns, read_interactions
    from pagoda.recommend.folder import holds_other_items

    if events is not None:
        named = (named_columns(columns),) if columns is not None else ()
        return read_interactions(events, *named), _described(things)
    if columns is not None:
        raise ConfigError("--columns says what a file's columns are called: name the file of events, too")
    city = read_city()
    if out is not None and holds_other_items(out, [thing.id for thing in city.things]):
        raise ConfigError(
            f"{out} holds events of other things than the invented city's, which would be mixed with them: "
            f"name the file of events, or --from {out} to learn from those that are there, or another --out"
        )
    return draw_visits(city), list(city.things)


def _described(things: Path | None) -> list[CatalogueItem] | None:
    """None keeps what a folder says of its things."""
    from pagoda.recommend.data.things import read_things

    return list(read_things(things).values()) if things is not None else None


def _name(item: str, things: Mapping[str, CatalogueItem], terminal: Terminal) -> str:
    thing = things.get(item)
    if thing is None:
        return item
    return thing.name if terminal.say is CHINESE else thing.name_en


def _reason(one: Recommendation, things: Mapping[str, CatalogueItem], terminal: Terminal) -> str:
    """The largest summands in words."""
    words = _words(terminal.say)
    names = [_name(item, things, terminal) for item in list(one.because)[:2]]
    if names and one.reasons[0].kind == "because":
        return words.because.format(names=("、" if terminal.say is CHINESE else ", ").join(names))
    first = one.reasons[0]
    if first.kind == "popular":
        return words.popular if first.value >= 0 else words.unpopular
    return words.expected
