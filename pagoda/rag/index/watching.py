"""Files that change while somebody looks: each change brings the index up to date.

Before a document's path: *changed files* -> file -> Document -> Chunks -> index. The system tells of changes
(`watchfiles`), and what they mean is the indexer's business, which looks at all of the files anyway: so a change that
was missed is found with the next one. The index's own files are no change, though they lie in a folder that is watched.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from pagoda.errors import MissingExtraError

_TICK_MS = 500


def changes(paths: Sequence[Path], ignored: Sequence[Path], stop: threading.Event | None = None) -> Iterator[None]:
    """One item as soon as `paths` are watched, and one for each burst of changes, until `stop` is set.

    What changes while an item is worked on comes with the next. Ctrl-C raises KeyboardInterrupt. Raises
    MissingExtraError.
    """
    try:
        from watchfiles import Change, watch
    except ModuleNotFoundError as error:
        raise MissingExtraError("watching files", "rag") from error
    apart = [path.resolve() for path in ignored]

    def is_of_documents(_: Change, changed: str) -> bool:
        return not any(Path(changed).is_relative_to(folder) for folder in apart)

    is_first = True
    for changed in watch(
        *paths, watch_filter=is_of_documents, stop_event=stop, rust_timeout=_TICK_MS, yield_on_timeout=True
    ):
        # The first tick, empty or not, comes when the system has begun to tell.
        if changed or is_first:
            is_first = False
            yield
