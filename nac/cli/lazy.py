"""Verbs whose modules are imported when they are used, so that the others start as fast as without them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click


class LazyCommand(click.Command):
    """Stands for the command `attribute` of `module` until it is used.

    Args:
        name: The verb.
        module: Dotted name of the module to import.
        attribute: Name of the command there.
        short_help: What the list of verbs says of it.
    """

    def __init__(self, name: str, module: str, attribute: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help)
        self.module, self.attribute = module, attribute

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> click.Context:
        """The context of the command itself, which is what is then invoked."""
        command: click.Command = getattr(import_module(self.module), self.attribute)
        return command.make_context(info_name, args, *more, **extra)
