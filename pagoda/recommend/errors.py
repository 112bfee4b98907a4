"""What can go wrong with a recommender's folder, below `PagodaError`. Loads nothing, so that a server knows it by name.

Beside the path *events -> models -> list*.
"""

from __future__ import annotations

from pagoda.errors import PagodaError


class RecommendStoreError(PagodaError):
    """The file of what people did cannot be read or written now, or deleted bytes cannot be taken out of it yet."""
