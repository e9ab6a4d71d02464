"""Orakul's own log: lines that a person reads, or, where the settings say so, lines of ECS."""

import logging
import sys

from orakul import __version__
from orakul.settings import Settings, load_settings

__all__ = ["set_up_logs"]

_TALKATIVE = ("httpx", "httpx2", "httpcore", "alembic", "asyncio", "uvicorn.access", "uvicorn.error")


def set_up_logs(level: str) -> None:
    """Log to standard error: time, level where it matters, who says it, what; and where the settings say, as ECS."""
    settings = load_settings()
    if settings.log_format == "ecs" or settings.elasticsearch.url is not None:
        _set_up_ecs(level, settings)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Readable(datefmt="%H:%M:%S"))
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(level.upper())
    # What libraries say of themselves is for those who look for trouble.
    for talkative in _TALKATIVE:
        logging.getLogger(talkative).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def _set_up_ecs(level: str, settings: Settings) -> None:
    from orakul.telemetry.logs_setup import set_up_logs as set_up

    also = []
    given = settings.elasticsearch
    if given.url is not None:
        from orakul.telemetry.elasticsearch import ElasticsearchHandler

        also.append(
            ElasticsearchHandler(
                given.url,
                api_key=given.api_key,
                token=given.token,
                ca_file=given.ca_file,
                data_stream=given.data_stream,
            )
        )
    set_up(
        settings.telemetry.service,
        format=settings.log_format,
        level=level,
        environment=settings.telemetry.environment,
        version=__version__,
        mask=settings.mask,
        also=also,
        celery=False,
    )


class _Readable(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return f"{self.formatTime(record, self.datefmt)} {record.name}: {level}{record.message}"
