"""What can go wrong in a dialogue, below `PagodaError`; what the graph may answer stands in `graph/errors`.

    DialogueError                  a turn cannot be taken
    |-- DomainError                  a domain file is wrong, or does not fit the graph
    `-- SessionError                 a conversation cannot be read or kept

Stands beside the whole path sentence -> understanding -> events -> state -> policy -> Cypher -> rows -> reply.
"""

from __future__ import annotations

from pagoda.errors import ConfigError, PagodaError
from pagoda.files.yaml_lines import FileKind


class DialogueError(PagodaError):
    """A turn of a dialogue cannot be taken."""


class DomainError(DialogueError, ConfigError):
    """A domain file is not well formed, contradicts itself, or names what the graph does not have."""


class SessionError(DialogueError):
    """A conversation cannot be read or kept."""


DOMAIN_FILE = FileKind("domain file", "labels, slots, intents and examples", "dialogue", DomainError)
"""What `yaml_lines` says of one."""
