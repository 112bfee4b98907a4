"""/v1/rag/feedback: what people say of answers, kept beside the index, and as questions for `pagoda rag eval`.

Beside the token's path. Whoever may ask may say whether the answer was right; what others asked is for those who may
change the collection.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, StrictBool, StrictStr

from pagoda.chat.openai_types import OpenAIRequest
from pagoda.rag.evaluation.feedback import Feedback, Rating, question_lines, question_set
from pagoda.server.applications.rag_collections import Readable, Writable
from pagoda.server.fields import check_fields
from pagoda.server.generation import caller_of
from pagoda.server.routing import POSTING, READING, Documented, JsonRoute, documented
from pagoda.server.state import state_of

router = APIRouter(route_class=JsonRoute, prefix="/feedback")
MAX_CHARACTERS = 32_768
"""Of each text."""
Text = Annotated[StrictStr, Field(max_length=MAX_CHARACTERS)]
_SAID = {entry.name for entry in fields(Feedback)} - {"id", "time"}
_READING = READING | documented(403, 404)
_LINES: Documented = {
    200: {
        "description": "JSON lines: question, source, answers",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}


class FeedbackRequest(OpenAIRequest):
    """What a person says of an answer."""

    question: Annotated[StrictStr, Field(min_length=1, max_length=MAX_CHARACTERS)]
    rating: Rating
    answer: Text = Field("", description="The answer's text.")
    span: Text = Field("", description="The answer's `span`, if it has one.")
    source: Text = Field("", description="Source of its first citation.")
    abstained: StrictBool = Field(False, description="Whether it said that the documents hold no answer.")
    right_answer: Text = Field("", description="What would have been right.")
    not_in_documents: StrictBool = Field(False, description="Whether declining would have been right.")
    comment: Text = ""


@router.post("", responses=POSTING | documented(403))
async def add(body: FeedbackRequest, request: Request, documents: Readable) -> Response:
    """Keep what a person says of an answer. It is on the disk when the reply comes."""
    state = state_of(request)
    check_fields(body, strict=True)
    async with state.admitted(caller_of(request)):
        feedback = Feedback(**body.model_dump(include=_SAID))
        await documents.add_feedback(feedback)
    return JSONResponse({"object": "rag.feedback", "id": feedback.id, "time": feedback.time})


@router.get("", responses=_READING)
async def listed(documents: Writable) -> Response:
    """All feedback on answers of the collection, oldest first."""
    entries = await documents.feedback()
    return JSONResponse({"object": "list", "data": [{"object": "rag.feedback", **asdict(entry)} for entry in entries]})


@router.get("/questions", responses=_READING | _LINES, response_class=Response)
async def questions(documents: Writable) -> Response:
    """The questions whose right answer it tells, as `pagoda rag eval` reads them."""
    lines = question_lines(question_set(await documents.feedback()))
    return Response("".join(f"{line}\n" for line in lines), media_type="application/x-ndjson")
