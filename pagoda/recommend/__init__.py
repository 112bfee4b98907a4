"""What a person would like next, with true reasons: `from pagoda.recommend import Recommender`, loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pagoda.recommend.recommendation import Reason as Reason
    from pagoda.recommend.recommendation import Recommendation as Recommendation
    from pagoda.recommend.recommender import Recommender as Recommender
    from pagoda.recommend.recommender import RecommenderSettings as RecommenderSettings

_HOMES = {
    "Reason": "pagoda.recommend.recommendation",
    "Recommendation": "pagoda.recommend.recommendation",
    "Recommender": "pagoda.recommend.recommender",
    "RecommenderSettings": "pagoda.recommend.recommender",
}
__all__ = ["Reason", "Recommendation", "Recommender", "RecommenderSettings"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pagoda.recommend' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
