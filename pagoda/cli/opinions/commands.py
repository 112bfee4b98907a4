"""`pagoda opinions`: what is said of companies, from items to alerts.

The group of commands; each stands in a file of its own beside this one.
"""

from __future__ import annotations

import typer

from pagoda.cli.opinions import models, watching

opinions = typer.Typer(help="Watch what is said of companies.", no_args_is_help=True, rich_markup_mode=None)
opinions.command(short_help="Follow sources, tell alerts, serve the page.")(watching.watch)
opinions.command(short_help="Play a file of items, and print the alerts.")(watching.replay)
opinions.command(short_help="Write all opinions as Parquet.")(watching.export)
opinions.command(short_help="Train a model of texts of your own.")(models.train)
opinions.command(name="eval", short_help="Measure the models on public sets.")(models.evaluate)
