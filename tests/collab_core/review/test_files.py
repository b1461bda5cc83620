from __future__ import annotations

import csv
import hashlib
import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.errors import InvalidInput
from collab_core.review.files import (
    COLUMNS,
    Form,
    Sampling,
    check_file,
    form_of,
    manifest_of,
    read_label_manifest,
    read_labels,
    to_csv,
    to_jsonl,
)
from collab_core.review.labels import Label
from tests.collab_core.review.labelled import label

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
labels = st.builds(
    label,
    st.sampled_from([True, False, None]),
    st.sampled_from([0, 1, None]),
    of_run=st.integers(0, 2**100),
    step=st.integers(1, 10**6),
    scope=texts,
    label_set=texts.filter(bool),
    reviewer=texts.filter(bool),
    first_error=st.booleans(),
    comment=texts,
    at=st.floats(0, 4e9),
    blind=st.booleans(),
    revision=st.integers(1, 50),
    adjudicated=st.booleans(),
    model=texts,
    check=st.sampled_from(["parsed", "missing", "malformed", "not_asked"]),
    probability=st.floats(1e-9, 1.0),
    stratum=texts,
)


def written(given_labels: list[Label], form: Form) -> bytes:
    return b"".join((to_csv if form == "csv" else to_jsonl)(given_labels))


@given(st.lists(labels, max_size=4, unique_by=lambda one: (one.item, one.reviewer, one.label_set)))
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_what_was_written_is_read_back(form: Form, several: list[Label]) -> None:
    reading = read_labels(written(several, form), form=form)
    assert reading.labels == several
    assert reading.bad_lines == 0


@given(labels)
def test_no_cell_is_a_formula(one: Label) -> None:
    _, row = csv.reader(io.StringIO(written([one], "csv").decode(), newline=""))
    for cell in row:
        assert cell[:1] not in ("\t", "\r", "\n")
        assert cell.lstrip()[:1] not in "=+-@＝＋－＠" or not cell.strip()


def line(**changes: Any) -> str:
    whole = json.loads(written([label(True, 1)], "jsonl"))
    return json.dumps({**whole, **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema_version": 2}, "2"),
        ({"run_id": "mine"}, "UUID"),
        ({"made_progress": "yes"}, "made_progress"),
        ({"probability": 0}, "probability"),
        ({"probability": 1.5}, "probability"),
        ({"step": 0}, "step"),
        ({"reviewer": ""}, "reviewer"),
        ({"comment": "a\x00b"}, "comment"),
        ({"colour": "red"}, "colour"),
        (
            {"kind": "false_progress"},
            "kind is false_progress, but label and verdict make it correct",
        ),
    ],
)
def test_a_bad_line_is_told_and_the_others_are_read(changes: dict[str, Any], told: str) -> None:
    blob = "\n".join([line(), line(**{"step": 2, **changes}), "{", line(step=3)]).encode()
    reading = read_labels(blob, form="jsonl")
    assert [one.step for one in reading.labels] == [1, 3]
    assert [error.line for error in reading.errors] == [2, 3]
    assert told in reading.errors[0].message
    assert reading.bad_lines == 2


def test_the_same_label_twice_is_an_error_and_another_revision_is_none() -> None:
    blob = "\n".join([line(), line(), line(revision=2)]).encode()
    reading = read_labels(blob, form="jsonl")
    assert len(reading.labels) == 2
    assert reading.errors[0].message == "it repeats the label of line 1"


def test_a_bad_row_of_a_csv_is_told() -> None:
    header, row = written([label(None, 0)], "csv").splitlines(keepends=True)
    blob = (
        header + row + b"1,2\r\n" + row.replace(b"pilot,ann", b"pilot,bob").replace(b",0,", b",7,")
    )
    reading = read_labels(blob, form="csv")
    assert len(reading.labels) == 1
    assert [error.line for error in reading.errors] == [3, 4]
    assert reading.errors[0].message == f"2 cells, not {len(COLUMNS)}"


@pytest.mark.parametrize("blob", [b"", b"a,b\r\n", b"\xff\xfe"])
def test_a_file_with_other_columns_is_refused(blob: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_labels(blob, form="csv")
    assert caught.value.field == "labels"


def test_an_overlong_line_is_told() -> None:
    reading = read_labels(line(comment="x" * 200_000).encode(), form="jsonl")
    assert "longer than" in reading.errors[0].message


def test_a_manifest_counts_and_names_the_bytes() -> None:
    several = [
        label(False, 1),
        label(False, 1, reviewer="bob", blind=False),
        label(True, 1, of_run=2),
    ]
    blob = written(several, "jsonl")
    made = manifest_of(
        several,
        {"labels.jsonl": blob},
        workspace="Demo",
        label_set="pilot",
        created="2026-01-01T00:00:00Z",
        sampling=Sampling(method="random", seed=3, population=40, drawn=2),
    )
    assert (made.labels, made.items, made.runs, made.reviewers) == (3, 2, 2, 2)
    assert made.kinds["false_progress"] == 2
    assert (made.blind, made.decisions, made.revisions) == ("mixed", 0, 3)
    assert read_label_manifest(msgspec.json.encode(made)) == made
    assert made.files[0].sha256 == hashlib.sha256(blob).hexdigest()
    check_file(made, "labels.jsonl", blob)
    with pytest.raises(InvalidInput, match="not the file that was exported"):
        check_file(made, "labels.jsonl", blob + b"\n")
    with pytest.raises(InvalidInput, match="names no file"):
        check_file(made, "other.jsonl", blob)


def test_a_manifest_tells_labels_decisions_and_revisions_apart() -> None:
    several = [
        label(False, 1),
        label(True, 1, revision=2),
        label(False, 1, reviewer="alice (adjudicator)", adjudicated=True, blind=False),
    ]
    told: dict[str, Any] = {
        "workspace": "Demo",
        "label_set": "pilot",
        "created": "2026-01-01T00:00:00Z",
    }
    made = manifest_of(several, {}, **told)
    assert (made.labels, made.decisions, made.revisions, made.reviewers) == (1, 1, 3, 1)
    assert made.blind is True
    assert manifest_of([], {}, **told).blind is None


def test_a_manifest_from_before_is_read() -> None:
    old = b'{"blind": null, "labels": 47, "sampling": {"method": "random", "seed": 3}}'
    made = read_label_manifest(old)
    assert (made.labels, made.revisions, made.blind, made.sampling.draws) == (47, None, None, ())


def test_a_broken_manifest_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"tandem\.labels/9"):
        read_label_manifest(b'{"format": "tandem.labels/9"}')


def test_the_name_tells_the_form() -> None:
    assert (form_of("a.JSONL"), form_of("b.csv")) == ("jsonl", "csv")
    with pytest.raises(InvalidInput):
        form_of("labels.xlsx")
