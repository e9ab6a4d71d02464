"""`orakul demo`: a living control room on one command."""

from orakul.cli.demo.command import command

__all__ = ["command"]
