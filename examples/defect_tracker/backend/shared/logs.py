"""Log lines on standard output, where `docker-compose logs` and `make tracker` show them."""

import logging
import sys

__all__ = ["set_up_logs"]


def set_up_logs() -> None:
    """Write each record as its message alone: the lines of events are read by people and by `grep`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for talkative in ("httpx2", "httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
