"""A bound for what is taken in: no route needs more than a few lines."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orakul.web.problems import ProblemError, problem_response

__all__ = ["BodyLimit"]


class BodyLimit:
    """Answers 413 to a body that is too large, whether it says so beforehand or not."""

    def __init__(self, app: ASGIApp, *, largest: int) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what is read of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = ProblemError(413, "too-large", f"No body over {self._largest:,} bytes is taken here.")
        said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if said.isdigit() and int(said) > self._largest:
            await problem_response(refused)(scope, receive, send)
            return
        read = 0
        answered = False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._largest:
                raise refused
            return message

        async def checked(message: Message) -> None:
            nonlocal answered
            if read <= self._largest:
                await send(message)
            elif not answered:
                # Whatever the route made of the interruption, this is the reason.
                answered = True
                await problem_response(refused)(scope, receive, send)

        await self._app(scope, counted, checked)
