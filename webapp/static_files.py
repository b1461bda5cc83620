"""Static files that need more than a folder: plotly.js from its wheel, and hashed ES modules.

Settings that use them::

    STATICFILES_FINDERS = [
        "django.contrib.staticfiles.finders.FileSystemFinder",
        "django.contrib.staticfiles.finders.AppDirectoriesFinder",
        "webapp.static_files.PlotlyFinder",
    ]
    STORAGES["staticfiles"]["BACKEND"] = "webapp.static_files.HashedStorage"   # after collectstatic
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage

PLOTLY = "plotly.min.js"
PLOTLY_URL_PATH = "vendor/plotly/" + PLOTLY


class PlotlyFinder(BaseFinder):
    """Finds the one file of the plotly wheel that pages load, not its 10 MB neighbours."""

    def __init__(self, app_names: object = None, *args: object, **kwargs: object) -> None:
        spec = find_spec("plotly")
        if spec is None or spec.origin is None:
            raise RuntimeError("plotly is not installed: pip install -r requirements.txt")
        self._storage = FileSystemStorage(location=Path(spec.origin).parent / "package_data")
        self._storage.prefix = "vendor/plotly"  # type: ignore[attr-defined]

    def check(self, **kwargs: Any) -> list[Any]:
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        if path != PLOTLY_URL_PATH:
            return []
        found = self._storage.path(PLOTLY)
        return [found] if find_all or kwargs.get("all") else found

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, FileSystemStorage]]:
        yield PLOTLY, self._storage


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # untyped package
    """Hashed names, imports of our own ES modules rewritten, gzip beside each file.

    Django's import rewriting is limited to our folder: on django-htmx's scripts it trips over an
    ``import("…")`` inside a JSDoc comment. The attribute is private, so a test runs collectstatic.
    """

    support_js_module_import_aggregation = True
    _js_module_import_aggregation_patterns = (
        "ui/js/*.js",
        CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1],  # noqa: SLF001
    )
