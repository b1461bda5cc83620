"""Weights of a workspace: what may be chosen, whether it fits, how they come and go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.http import Http404

from collab_core.errors import InvalidInput
from collab_core.strategies.registry import STRATEGIES
from tests.webapp.learning.material import make_weights
from tests.webapp.personas import Room, make_ladder
from webapp.learning import weights
from webapp.learning.models import Weights
from webapp.runs import services
from webapp.runs.forms import parameter_forms
from webapp.runs.models import Run


@pytest.fixture(autouse=True)
def _own_data(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def folder_of(row: Weights) -> Path:
    home = weights.resources(row.workspace_id).folder
    assert home is not None
    return home / row.reference


def margin(row: Weights | None, **changes: Any) -> tuple[str, dict[str, Any]]:
    return "margin", {"weights": row.reference if row else "", **changes}


def test_a_form_offers_the_workspaces_own_weights_of_the_right_kind(room: Room) -> None:
    row = make_weights(room)
    make_weights(room, kind="probe", name="other-kind")
    for workspace, found in ((room.workspace, [row.reference]), (room.other, [])):
        form = parameter_forms(["margin"], weights=weights.offers(workspace))["margin"]
        choices = [value for value, _ in form.fields["weights"].choices if value]  # type: ignore[attr-defined]
        assert choices == found
    assert "Train one" in parameter_forms(["margin"])["margin"].fields["weights"].help_text


def test_every_weights_parameter_names_kinds_that_exist() -> None:
    from collab_core.learned.scorers import PUBLISHED
    from collab_core.learned.training import TRAINERS

    kinds = {
        kind
        for strategy in STRATEGIES.values()
        for found in weights.weights_parameters(strategy).values()
        for kind in found
    }
    assert kinds
    assert kinds <= {*TRAINERS, PUBLISHED}


@pytest.mark.parametrize(
    ("reference", "words"),
    [("../../../etc", "there is no"), ("nothing-000", "there is no"), ("/etc", "there is no")],
)
def test_a_reference_that_leads_nowhere_or_out_is_refused(
    room: Room, reference: str, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words) as refused:
        room.submit(strategies=[("margin", {"weights": reference})])
    assert refused.value.field == "weights"
    assert not Run.objects.exists()


def test_weights_of_another_kind_ladder_or_workspace_are_refused(room: Room) -> None:
    probe = make_weights(room, kind="probe", name="a-probe")
    with pytest.raises(InvalidInput, match="of kind 'probe'"):
        room.submit(strategies=[margin(probe)])
    other = make_weights(room, name="longer", ladder=make_ladder(room.workspace, tiers=3))
    with pytest.raises(InvalidInput, match="trained for the ladder"):
        room.submit(strategies=[margin(other)])
    mine = make_weights(room)
    with pytest.raises(InvalidInput, match="there is no"):
        weights.check(
            room.other.pk, STRATEGIES["margin"], dict(margin(mine)[1]), room.ladder.to_core()
        )


def test_damaged_weights_are_refused_at_submission(room: Room) -> None:
    row = make_weights(room)
    (folder_of(row) / "weights.safetensors").write_bytes(b"rubbish")
    with pytest.raises(InvalidInput, match="damaged"):
        room.submit(strategies=[margin(row)])


def test_an_error_stands_at_the_card_it_belongs_to(room: Room) -> None:
    client = room.client("bob")
    page = client.post(
        "/runs/new/",
        {
            "question": "?", "ladder": str(room.ladder.uuid), "strategies": ["agentcollab", "tier"],
            "max_steps": "5", "max_output_tokens": "64", "tier-tier": "9",
        },
    )  # fmt: skip
    assert page.status_code == 422
    cards = {c.strategy.name: c for family in page.context["families"] for c in family.cards}
    assert "has no tier" in str(cards["tier"].parameters.errors["tier"])
    assert not cards["agentcollab"].parameters.errors


# --- how they come ------------------------------------------------------------------------------
def test_weights_from_the_command_line_are_added_once(room: Room, tmp_path: Path) -> None:
    row = make_weights(room)
    copy = tmp_path / "copied"
    folder_of(row).rename(copy)
    row.delete()
    for _ in range(2):
        call_command("add_weights", str(copy), workspace="Room")
    assert Weights.objects.get().reference == row.reference
    assert sorted(p.name for p in folder_of(Weights.objects.get()).iterdir()) == [
        "manifest.json",
        "weights.safetensors",
    ]


def test_a_published_classifier_is_added_without_its_pickles(room: Room, tmp_path: Path) -> None:
    source = tmp_path / "bert"
    source.mkdir()
    (source / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (source / "model.safetensors").write_bytes(b"tensors")
    (source / "pytorch_model.bin").write_bytes(b"pickle")
    call_command("add_weights", str(source), workspace="Room")
    row = Weights.objects.get()
    assert not (folder_of(row) / "pytorch_model.bin").exists()
    assert weights.locate_classifier(room.workspace, row.reference) == folder_of(row)
    with pytest.raises(InvalidInput, match="no published classifier"):
        weights.locate_classifier(room.other, row.reference)


def test_a_folder_without_weights_is_refused(room: Room, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="neither"):
        call_command("add_weights", str(tmp_path), workspace="Room")
    with pytest.raises(CommandError, match="no workspace"):
        call_command("add_weights", str(tmp_path), workspace="Nowhere")


# --- how they go --------------------------------------------------------------------------------
def use(room: Room, row: Weights) -> Run:
    """A run that names them, as it would be stored had they been real ones of this kind."""
    run = room.submit()
    Run.objects.filter(pk=run.pk).update(strategy="margin", parameters=margin(row)[1])
    return run


def test_weights_that_a_waiting_run_needs_stay(room: Room) -> None:
    row = make_weights(room)
    run = use(room, row)
    assert weights.uses(row) == (1, 0)
    with pytest.raises(InvalidInput, match="1 waiting or running run needs"):
        weights.delete(row, room.users["alice"])
    services.cancel(run, room.users["alice"])
    assert weights.uses(row) == (0, 1)
    weights.delete(row, room.users["alice"])
    with pytest.raises(InvalidInput, match="there is no"):
        services.rerun(Run.objects.get(pk=run.pk), room.users["bob"])


def test_only_owners_delete_and_nothing_is_left(room: Room) -> None:
    row = make_weights(room)
    folder = folder_of(row)
    with pytest.raises(PermissionDenied):
        weights.delete(row, room.users["bob"])
    with pytest.raises(Http404):
        weights.delete(row, room.users["charlie"])
    weights.delete(row, room.users["alice"])
    assert not folder.exists()
    assert list(folder.parent.iterdir()) == []


def test_a_strategy_that_runs_untrained_offers_that_too(room: Room) -> None:
    form = parameter_forms(["masrouter"], weights=weights.offers(room.workspace))["masrouter"]
    assert form.fields["weights"].initial == "untrained"
    run = room.submit(strategies=[("masrouter", {})])
    assert run.parameters["weights"] == "untrained"


def test_a_manifest_with_nul_can_be_stored_everywhere(room: Room) -> None:
    row = make_weights(room, name="a\0b")
    assert row.name == "a\ufffdb"
    assert "\0" not in str(row.manifest)
    assert row.manifest["name"] == "a\ufffdb"
