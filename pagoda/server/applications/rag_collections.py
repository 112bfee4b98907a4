"""The collections of one server: which there are, and which of them a caller may read and change.

Between the endpoints of /v1/rag and the `RagService` of each collection. A request names its collection in the query,
`?collection=NAME`; one that names none gets the first. Every endpoint comes by its service through `Readable` or
`Writable` below, so that none can forget to ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Query, Request

from pagoda.server.access import Collection, Right, given_key, is_among, unauthorized
from pagoda.server.applications.application import service_of
from pagoda.server.applications.rag_service import RagService
from pagoda.server.errors import ForbiddenError, ModelNotFoundError
from pagoda.server.generation import caller_of


class RagCollections:
    """The services of all collections, in order. server_keys: that open the rest of the server."""

    def __init__(self, collections: Sequence[tuple[Collection, RagService]], server_keys: Sequence[str] = ()) -> None:
        self._all = {collection.name: (collection, service) for collection, service in collections}
        self._server_keys = server_keys

    async def start(self) -> None:
        """Open all of them. Raises what a service's `start` does."""
        for _, service in self._all.values():
            await service.start()

    async def close(self) -> None:
        """Close those that are open."""
        for _, service in self._all.values():
            await service.close()

    def services(self) -> list[RagService]:
        """Of all collections."""
        return [service for _, service in self._all.values()]

    def opened(self, request: Request, name: str, right: Right) -> RagService:
        """The service of a collection, the first where none is named, for a caller who has this right.

        Raises ModelNotFoundError, and UnauthorizedError or ForbiddenError for a caller who has not.
        """
        found = self._all.get(name or next(iter(self._all)))
        if found is None:
            raise ModelNotFoundError(
                f"there is no collection {name!r:.80} here: GET /v1/rag/collections lists them", param="collection"
            )
        self._check(request, found[0], right)
        return found[1]

    def listed(self, request: Request) -> list[dict[str, Any]]:
        """Those that the caller may read. Raises as `opened` does where there is none."""
        key = self._key(request)
        every = [collection for collection, _ in self._all.values()]
        found = [collection for collection in every if self._may(key, collection, "read")]
        if not found:
            self._check(request, every[0], "read")
        return [
            {
                "object": "rag.collection",
                "name": collection.name,
                "is_default": collection is every[0],
                "may_write": self._may(key, collection, "write"),
            }
            for collection in found
        ]

    def _key(self, request: Request) -> str | None:
        """The key that the middleware knows; elsewhere than below /v1/rag it knows none of the collections'."""
        known, given = caller_of(request).key, given_key(request.headers)
        own = [key for collection, _ in self._all.values() for key in collection.keys]
        return known if known is not None or not is_among(given, own) else given

    def _may(self, key: str | None, collection: Collection, right: Right) -> bool:
        opening = collection.opened_by(right)
        if opening is None:
            # Who may change it may read it, too.
            return not self._server_keys or is_among(key, (*self._server_keys, *collection.keys))
        return is_among(key, opening)

    def _check(self, request: Request, collection: Collection, right: Right) -> None:
        """A key that is known anywhere gets a 403, others a 401."""
        key = self._key(request)
        if self._may(key, collection, right):
            return
        if key is None and collection.opened_by(right) != ():
            raise unauthorized(given_key(request.headers))
        what = f"{'change' if right == 'write' else 'read'} the collection {collection.name!r}"
        if collection.opened_by(right) == ():
            raise ForbiddenError(f"nobody may {what} over HTTP: ask the operator")
        raise ForbiddenError(f"this API key may not {what}: ask the operator for one that may")


Name = Annotated[str, Query(max_length=64, description="Which collection; left out, the first that is listed.")]


def _readable(request: Request, collection: Name = "") -> RagService:
    return service_of(request.app, RagCollections).opened(request, collection, "read")


def _writable(request: Request, collection: Name = "") -> RagService:
    return service_of(request.app, RagCollections).opened(request, collection, "write")


Readable = Annotated[RagService, Depends(_readable)]
"""The service of a request's collection, whose caller may read it."""
Writable = Annotated[RagService, Depends(_writable)]
"""The same, whose caller may change it."""
