"""The catalogue as a table: names, labels and texts that every consumer relies on."""

import re

import pytest

from exporter.metrics.catalogue import EXPORTER, FAMILIES, JOB, JOBS, SUBJOB, Family, Type, table


def test_names_are_unique() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_row_follows_the_rules_of_the_format(family: Family) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", family.name)
    # Characters that the two formats escape differently would make two headers of one.
    assert not set(family.help) & set('\\\n"')
    assert family.help.endswith(".")
    assert (family.type is Type.COUNTER) == family.name.endswith("_total")
    assert not {"job", "instance", "stage"} & set(family.labels)


@pytest.mark.parametrize("family", [row.family for row in JOBS], ids=lambda family: family.name)
def test_row_about_jobs_is_a_gauge_with_identity_labels(family: Family) -> None:
    identity = JOB if family.name.startswith("dli_job_") else SUBJOB
    assert family.type is Type.GAUGE
    assert family.labels[: len(identity)] == identity


def test_job_help_says_that_the_value_is_cached() -> None:
    for row in JOBS:
        if row.family.name.startswith("dli_job_"):
            assert row.family.help.endswith("as of dli_job_last_update_timestamp_seconds.")


def test_rows_about_the_exporter_have_names_of_their_own() -> None:
    about_jobs = {row.family.name for row in JOBS}
    assert not about_jobs & {family.name for family in EXPORTER}
    across = ("dli_exporter_", "dli_up", "dli_jobs_ended_total", "dli_job_duration_seconds")
    assert all(family.name.startswith(across) for family in EXPORTER)


def test_table_has_a_line_for_every_row() -> None:
    lines = table().splitlines()
    assert len(lines) == len(FAMILIES) + 2
    assert lines[2].startswith("| `dli_job_info` | gauge | `project`, `job_id`, `name`, ")
