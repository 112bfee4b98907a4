"""Where a graph is, as an operator says it on a command line: an address, a user, and the name of a variable.

Before a statement's path: *settings* -> Graph. A password stands in the environment, never among the arguments, which
everybody on the machine can read; a server that asks for none needs no variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pagoda.errors import ConfigError
from pagoda.graph.errors import GraphAuthError
from pagoda.graph.graph import Graph

PASSWORD_ENV = "NEO4J_PASSWORD"


@dataclass(frozen=True)
class GraphAddress:
    """uri: such as bolt://localhost:7687; password_env: variable that holds the password; database: None for the user's

    password_env: "" for NEO4J_PASSWORD where that is set, and no password where it is not
    """

    uri: str
    user: str = "neo4j"
    password_env: str = ""
    database: str | None = None

    @classmethod
    def given(
        cls, uri: str | None, user: str | None = None, password_env: str | None = None, database: str | None = None
    ) -> GraphAddress | None:
        """An address out of options, of which any may be left out; None without an address."""
        if uri is None:
            return None
        return cls(uri, user or cls.user, password_env or cls.password_env, database or None)

    def opened(self, environment: Mapping[str, str]) -> Graph:
        """The graph. Raises as `Graph.connect` does, and ConfigError for a variable that is named and not set."""
        variable = self.password_env or PASSWORD_ENV
        password = environment.get(variable)
        if password is None and self.password_env:
            raise ConfigError(
                f"{variable} is not set: put the password of {self.uri} into it, or name another variable"
            )
        try:
            return Graph.connect(self.uri, self.user, password, self.database)
        except GraphAuthError as error:
            if password is not None:
                raise
            raise GraphAuthError(f"{self.uri} asks for a password: put that of {self.user} into {variable}") from error
