"""The same shop: the web application that sends the tasks."""

import asyncio

import traced
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from orakul import telemetry

app = FastAPI()
telemetry.set_up("shop", app=app)


@app.post("/orders/{item}")
def order(item: str):
    return {"task": traced.order.delay(item).id, "correlation": telemetry.correlation_id()}


@app.post("/later")
async def later():
    return {"task": traced.add.apply_async((1, 2), countdown=0.5).id}


@app.get("/stream")
async def stream():
    async def lines():
        for number in range(3):
            await asyncio.sleep(0)
            yield f"{number}\n"

    return StreamingResponse(lines())
