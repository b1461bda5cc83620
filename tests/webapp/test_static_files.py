"""What collectstatic makes: one file of plotly's wheel, hashed modules that find each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command

from webapp.runs import vocabulary
from webapp.static_files import PLOTLY_URL_PATH, PlotlyFinder


def test_plotly_is_found_and_none_of_its_neighbours() -> None:
    assert Path(str(finders.find(PLOTLY_URL_PATH))).is_file()
    assert finders.find("vendor/plotly/widgetbundle.js") is None
    assert [name for name, _ in PlotlyFinder().list([])] == ["plotly.min.js"]


@pytest.fixture
def collected(settings: Any, tmp_path: Path) -> Path:
    settings.STATIC_ROOT = str(tmp_path)
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "webapp.static_files.HashedStorage"}
    }
    call_command("collectstatic", interactive=False, verbosity=0)
    return tmp_path


def test_hashed_modules_import_hashed_modules(collected: Path) -> None:
    run = next((collected / "ui" / "js").glob("run.*.js"))
    imports = re.findall(r'from "\./([^"]+)"', run.read_text(encoding="utf-8"))
    assert len(imports) > 5
    for name in imports:
        assert re.fullmatch(r"[\w-]+\.[0-9a-f]{12}\.js", name), name
        assert (collected / "ui" / "js" / name).is_file()
    assert list((collected / "vendor" / "plotly").glob("plotly.min.*.js.gz"))


def test_the_pages_event_names_are_current() -> None:
    assert vocabulary.PATH.read_text(encoding="utf-8") == vocabulary.render(), (
        "run: python manage.py write_vocabulary"
    )
