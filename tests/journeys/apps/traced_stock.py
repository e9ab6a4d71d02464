"""Another service, which the shop's tasks ask: Starlette alone."""

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from orakul import telemetry


async def stock(request):
    return JSONResponse(telemetry.correlation_id())


app = Starlette(routes=[Route("/stock/{item}", stock)])
telemetry.set_up("stock", app=app)
