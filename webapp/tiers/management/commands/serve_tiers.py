"""``python manage.py serve_tiers FILE``: one vLLM server per tier, watched until Ctrl-C."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from collab_core.backends import serving, supervisor
from collab_core.errors import InvalidInput


class Command(BaseCommand):
    help = (
        "Start and watch one vLLM server per tier of a TOML file (see docker/tiers.example.toml)."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--log-folder",
            type=Path,
            default=Path("var/serve_tiers"),
            help="where each server's output goes",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="print the command lines and start nothing"
        )

    def handle(self, *_: Any, file: Path, log_folder: Path, dry_run: bool, **__: Any) -> None:
        try:
            checked = serving.load(file)
            if dry_run:
                for line in serving.command_lines(checked):
                    self.stdout.write(line)
                return
            supervisor.run(checked, log_folder=log_folder, report=self._report)
        except InvalidInput as error:
            raise CommandError(f"{error} {error.hint}".strip()) from error

    def _report(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
