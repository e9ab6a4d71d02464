"""The stream: `GET /api/tasks/subscribe`, Server-Sent Events of what happens, to whoever may see it (design §7).

`Hub` follows the feed and hands frames to connections; `StreamApp` is the ASGI part in front of it;
`server.StreamServer` is uvicorn that ends the streams before it waits for them.
"""

from orakul.web.stream.app import PATH, StreamApp
from orakul.web.stream.audience import Subscription, Viewer
from orakul.web.stream.hub import Hub, HubStats

__all__ = ["PATH", "Hub", "HubStats", "StreamApp", "Subscription", "Viewer"]
