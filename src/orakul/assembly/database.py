"""The database in use: yours by URL, else the embedded server."""

from typing import TYPE_CHECKING, Self

from orakul.errors import MissingExtraError
from orakul.settings import Settings, without_password

if TYPE_CHECKING:
    from orakul.journals.postgres import EmbeddedPostgres

__all__ = ["Database", "open_database"]


class Database:
    """The database in use; closing it leaves the embedded server, which ends with its last user."""

    def __init__(self, url: str, embedded: "EmbeddedPostgres | None" = None) -> None:
        self.url = url
        self.embedded = embedded

    @property
    def shown(self) -> str:
        """Where it is, for people."""
        if self.embedded is not None:
            return f"embedded PostgreSQL in {self.embedded.data_dir}"
        return without_password(self.url)

    def close(self) -> None:
        """Leave it."""
        if self.embedded is not None:
            self.embedded.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_database(settings: Settings) -> Database:
    """Return the database of the settings; the embedded server is started, or joined, first."""
    if settings.database_url is not None:
        return Database(settings.database_url)
    try:
        from orakul.journals.postgres import EmbeddedPostgres  # noqa: PLC0415 (a product)
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "psycopg", "embedded") from error
    server = EmbeddedPostgres(settings.data)
    server.start()
    return Database(server.url, server)
