"""`orakul serve`: the web application, the feed, the stream."""

import logging

from orakul import __version__
from orakul.cli.options import Data, Host, Port
from orakul.settings import load_settings

__all__ = ["command"]

log = logging.getLogger("orakul")


def command(host: Host = None, port: Port = None, data: Data = None) -> None:
    """Serve the control room: page, REST, live stream; and the upkeep behind it.

    With no ORAKUL_DATABASE_URL it runs an embedded PostgreSQL in the data folder. A database or a broker that is away
    is no reason to end: it keeps trying, and says so on /readyz.
    """
    from orakul.assembly import assemble, open_database, trace_itself
    from orakul.cli.logs import set_up_logs
    from orakul.cli.server import bind, orderly_end, serve_until_ended
    from orakul.exports.names import KINDS as EXPORTS

    settings = load_settings({"host": host, "port": port, "data": data})
    set_up_logs(settings.log_level)
    trace_itself(settings)
    with bind(settings.host, settings.port) as listener, orderly_end():
        database = open_database(settings)
        log.info("Orakul %s on %s", __version__, database.shown)
        assembly = assemble(settings, database)
        fleets = sorted(assembly.runners.keys() - {*EXPORTS, "reaction"})
        log.info("commands go to: %s", ", ".join(fleets) or "nobody yet (set ORAKUL_CELERY_BROKER)")
        serve_until_ended(assembly, listener, lambda url: log.info("open %s", url))
    log.info("ended")
