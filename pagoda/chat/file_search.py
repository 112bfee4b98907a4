"""The search of documents as a chat request names it, and as the model is told of it.

Beside `openai_types`: a tool of the type `file_search` is the server's own and no function, but a model calls functions
and nothing else. So in its place among the tools stands a function that takes a question, and the request keeps what
the client said of the search. Source: OpenAI's API reference (2025), where the Responses API has this tool.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SEARCH_NAME = "search_documents"
FILE_SEARCH = "file_search"
"""The tool's type, and where a request keeps the searches that it names."""
_QUESTION = "What to look for, as a whole question that can be understood alone, in the words of the user."
_TOLD = "Look something up in the user's documents. Gives numbered passages with their places; cite them as [1]."


def search_function(name: str = SEARCH_NAME) -> dict[str, Any]:
    """The function, as `tools` of a chat request takes it."""
    parameters = {
        "type": "object",
        "properties": {"question": {"type": "string", "description": _QUESTION}},
        "required": ["question"],
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": _TOLD, "parameters": parameters}}


def search_arguments(question: str) -> str:
    """The arguments of a call that looks for a question."""
    return json.dumps({"question": question}, ensure_ascii=False)


def with_functions(request: Any) -> Any:
    """A request's body, before it is validated, with a function in the place of each search; the searches are apart.

    >>> found = with_functions({"tools": [{"type": "file_search"}], "tool_choice": {"type": "file_search"}})
    >>> found["file_search"], found["tools"][0]["function"]["name"], found["tool_choice"]["function"]
    ([{'type': 'file_search'}], 'search_documents', {'name': 'search_documents'})
    """
    tools: Any = request.get("tools") if isinstance(request, Mapping) else None
    if not isinstance(tools, list) or not any(map(_is_search, tools)):
        return request
    searches = [tool for tool in tools if _is_search(tool)]
    named = {"type": "function", "function": {"name": SEARCH_NAME}}
    choice = {"tool_choice": named} if _is_search(request.get("tool_choice")) else {}
    functions = [search_function() if _is_search(tool) else tool for tool in tools]
    return {**request, "tools": functions, FILE_SEARCH: searches, **choice}


def _is_search(given: Any) -> bool:
    return isinstance(given, Mapping) and given.get("type") == FILE_SEARCH
