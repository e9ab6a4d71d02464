"""`orakul user`: Orakul's own users, for a house with no authentication of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from orakul.cli.options import Data
from orakul.errors import NotPossibleError, SettingsError
from orakul.settings import load_settings

if TYPE_CHECKING:
    from orakul.assembly import Assembly

__all__ = ["app"]

app = typer.Typer(help="Orakul's own users, for a house with no authentication.", no_args_is_help=True)

Username = Annotated[str, typer.Argument(help="The name that the user signs in with.")]
_ROLES = ("admin", "viewer", "user")


@app.command()
def add(
    username: Username,
    *,
    role: Annotated[
        str, typer.Option("--role", help="admin; viewer: sees all, commands nothing; user: the own tasks only.")
    ] = "user",
    user_id: Annotated[
        str | None,
        typer.Option("--id", help="The id that tasks are owned by.  [default: the name]", show_default=False),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
    ] = False,
    data: Data = None,
) -> None:
    """Add a user. The password is asked for; without a terminal, one is made and printed."""
    if role not in _ROLES:
        raise SettingsError(f"there is no role {role!r}: it is one of {', '.join(_ROLES)}")
    password, made = _password(from_stdin=password_stdin)
    with _assembled(data) as assembly:
        account = assembly.accounts.add(username, password, role=role, user_id=user_id or username)
    print(f"added {account.username} ({account.role}), owner of the tasks of user id {account.user_id}")
    if made:
        print(f"password: {password}")


@app.command()
def token(
    username: Username,
    hours: Annotated[float, typer.Option("--hours", help="How long it is good for, in hours.", min=0.01)] = 12.0,
    data: Data = None,
) -> None:
    """Print a bearer token of a user, for programs: curl -H "Authorization: Bearer $(orakul user token anna)" …."""
    from orakul.web.parts import TokenSettings
    from orakul.web.tokens import Tokens

    with _assembled(data) as assembly:
        account = assembly.accounts.find(username)
        if account is None:
            raise NotPossibleError(f"there is no user {username!r}: orakul user list shows them")
        tokens = Tokens(assembly.secret.encode(), TokenSettings())
        text, _ = tokens.issue(account.user_id, username=account.username, role=account.role, lifetime=hours * 3600)
        print(text)


@app.command("list")
def list_users(data: Data = None) -> None:
    """List the users."""
    with _assembled(data) as assembly:
        accounts = assembly.accounts.list()
    for account in accounts:
        print(f"{account.username:<24} {account.role:<8} {account.user_id}")
    if not accounts:
        print("no users yet: orakul user add NAME --role admin", file=sys.stderr)


@app.command()
def remove(username: Username, data: Data = None) -> None:
    """Remove a user; the tasks stay."""
    with _assembled(data) as assembly:
        if not assembly.accounts.remove(username):
            raise NotPossibleError(f"there is no user {username!r}: orakul user list shows them")
    print(f"removed {username}")


@contextmanager
def _assembled(data: object) -> Iterator["Assembly"]:
    from orakul.assembly import assemble, open_database
    from orakul.journals.postgres import migrations

    settings = load_settings({"data": data})
    with open_database(settings) as database:
        migrations.upgrade(database.url)
        assembly = assemble(settings, database)
        try:
            yield assembly
        finally:
            assembly.connections.close()


def _password(*, from_stdin: bool) -> tuple[str, bool]:
    """Return the password, and whether it was made up here."""
    if from_stdin:
        if password := sys.stdin.readline().rstrip("\n"):
            return password, False
        raise SettingsError("--password-stdin: standard input holds no password")
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True)), False
    import secrets

    return secrets.token_urlsafe(12), True
