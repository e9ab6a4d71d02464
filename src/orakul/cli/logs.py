"""Log lines that a person reads."""

import logging
import sys

__all__ = ["set_up_logs"]


def set_up_logs(level: str) -> None:
    """Log to standard error: time, level where it matters, who says it, what."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Readable(datefmt="%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # What libraries say of themselves is for those who look for trouble.
    for talkative in ("httpx", "httpcore", "alembic", "asyncio", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(talkative).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


class _Readable(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return f"{self.formatTime(record, self.datefmt)} {record.name}: {level}{record.message}"
