"""POST /v1/responses: messages in, a message out.  (helper SERVER-B is writing this file and tool_calls.py)"""

from fastapi import APIRouter

from pagoda.server.routing import JsonRoute

router = APIRouter(route_class=JsonRoute)
