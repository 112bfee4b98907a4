"""Who understands items, for a watch that nobody gave one: the models of this room over the settings' companies.

Beside `watching.monitor`. Loaded when a watch opens, since weights take seconds.
"""

from __future__ import annotations

from pagoda.opinions.story import ItemReader, StoryGrouping
from pagoda.opinions.watching.config import MonitorConfig


def default_reader(config: MonitorConfig) -> ItemReader:
    """The understanding over the settings' companies. Raises ConfigError, MissingExtraError."""
    from pagoda.opinions.understanding import understanding_of

    return understanding_of(config.companies, config.model)


def new_stories() -> StoryGrouping:
    """Groups reprints. Raises MissingExtraError."""
    from pagoda.opinions.duplicates import StoryIndex

    return StoryIndex()
