"""The only reader of `orakul.toml` and the environment.

A setting comes from, the later the stronger: its default, the file, the environment, the command line. The file is
`orakul.toml` in the working directory, or the one that `ORAKUL_CONFIG` names. Each key is also an environment
variable: `celery.broker` is `ORAKUL_CELERY_BROKER`; lists are written with commas there, and an empty one is unset.

What is wrong is named with its file and line, or its variable, and with the nearest right key or value; all wrong
things at once. Values that are secret show in no `repr` and in no message.
"""

from orakul.settings.form import Settings
from orakul.settings.keys import Key, known
from orakul.settings.section import without_password
from orakul.settings.sections import (
    CelerySettings,
    EventsSettings,
    ExportSettings,
    JwtSettings,
    OperationsSettings,
    RetentionSettings,
    StreamSettings,
    TelemetrySettings,
    WebSettings,
)
from orakul.settings.sources import load_settings, place_of

__all__ = [
    "CelerySettings",
    "EventsSettings",
    "ExportSettings",
    "JwtSettings",
    "Key",
    "OperationsSettings",
    "RetentionSettings",
    "Settings",
    "StreamSettings",
    "TelemetrySettings",
    "WebSettings",
    "known",
    "load_settings",
    "place_of",
    "without_password",
]
