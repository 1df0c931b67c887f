"""What is taken from a registration, what is refused, and that nothing of it is repeated."""

import json
from typing import Any

import pytest

from exporter.jobs.model import Registration
from exporter.sources.registration import (
    MOST_IDS,
    Parsed,
    Reason,
    Rejection,
    file_content,
    parse_body,
    parse_file,
)

PROJECTS = frozenset({"default", "prod"})
CANARY = "CANARYsk0Fm3Zq"


def read(content: str | bytes | dict[str, Any] | list[Any]) -> Parsed:
    if isinstance(content, dict | list):
        content = json.dumps(content)
    raw = content.encode() if isinstance(content, str) else content
    return parse_file("job.json", raw, projects=PROJECTS)


def refused(content: str | bytes | dict[str, Any] | list[Any]) -> tuple[Reason, str]:
    """Read a file that is wrong as a whole; return the reason, and the line less the file name."""
    parsed = read(content)
    assert parsed.registrations == ()
    (rejection,) = parsed.rejected
    name, _, wrong = rejection.message.partition(": ")
    assert name == "job.json"
    return rejection.reason, wrong


def test_an_object_says_everything_about_a_job() -> None:
    given = {
        "job_id": "85798b38-ae44",
        "project": "prod",
        "name": "nächtlich",
        "deadline": 1_800_000_000.5,
        "labels": {"team": "sales"},
    }
    wanted = Registration(
        job_id="85798b38-ae44",
        project="prod",
        name="nächtlich",
        deadline=1_800_000_000.5,
        labels={"team": "sales"},
    )
    assert read(given) == Parsed((wanted,))


def test_an_id_is_enough_and_null_is_not_given() -> None:
    given = {"job_id": "a", "project": None, "name": None, "deadline": None, "labels": None}
    assert read(given) == read({"job_id": "a"}) == Parsed((Registration(job_id="a"),))


def test_an_array_names_several_jobs() -> None:
    given = [{"job_id": "a"}, {"job_id": "a", "project": "prod"}]
    assert read(given).registrations == (
        Registration(job_id="a"),
        Registration(job_id="a", project="prod"),
    )


def test_of_two_entries_for_one_job_the_later_counts() -> None:
    given = [{"job_id": "a", "name": "old"}, {"job_id": "a", "name": "new"}]
    assert read(given).registrations == (Registration(job_id="a", name="new"),)


@pytest.mark.parametrize(
    "content", ["a\nb", "a\r\nb\r\n", "\ufeffa\nb\n", "# jobs\n\n  a  # nightly\n\tb\n#c\n"]
)
def test_lines_name_several_jobs(content: str) -> None:
    assert read(content) == Parsed((Registration(job_id="a"), Registration(job_id="b")))


@pytest.mark.parametrize("content", ["# none today\n", "\n", "[]"])
def test_a_file_may_name_no_job(content: str) -> None:
    assert read(content) == Parsed()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T06:00:00Z", 1_795_154_400),
        ("2026-11-20t06:00:00z", 1_795_154_400),
        ("2026-11-20 06:00:00.25+00:00", 1_795_154_400.25),
        ("2026-11-20T06:00:00+08:00", 1_795_154_400 - 8 * 3600),
    ],
)
def test_a_deadline_is_read_from_rfc_3339(text: str, moment: float) -> None:
    (registration,) = read({"job_id": "a", "deadline": text}).registrations
    assert registration.deadline == moment


@pytest.mark.parametrize(
    "deadline",
    [
        "2026-11-20T06:00:00",  # no zone: nobody can say when
        "2026-11-20",
        "2026-02-30T06:00:00Z",
        "2026-11-20T06:00:00+0800",
        "20261120T060000Z",
        "1795154400",
        "",
        7200,  # a duration
        1_795_154_400_000,  # milliseconds
        10**400,
        True,
        [],
        {},
    ],
)
def test_another_deadline_is_refused(deadline: object) -> None:
    assert refused({"job_id": "a", "deadline": deadline}) == (
        Reason.INVALID,
        "deadline: must be Unix seconds or RFC 3339, such as 2026-11-20T06:00:00Z",
    )


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_deadline_is_finite(number: str) -> None:
    assert refused(f'{{"job_id": "a", "deadline": {number}}}')[0] is Reason.INVALID


@pytest.mark.parametrize(
    "job_id", ["", " a", "a/b", "..", "a\n", "ä", "٣", "a" * 65, "a%2Fb", 1, ["a"], {}]
)
def test_a_job_id_has_one_form(job_id: object) -> None:
    assert refused({"job_id": job_id}) == (
        Reason.INVALID,
        "job_id: must be 1 to 64 letters, digits or -",
    )


@pytest.mark.parametrize(
    ("key", "value", "wrong"),
    [
        ("name", "x" * 129, "name: must be printable text of at most 128 bytes"),
        ("name", "ä" * 65, "name: must be printable text of at most 128 bytes"),
        ("name", "a\nb", "name: must be printable text of at most 128 bytes"),
        ("name", "\x1b[31m", "name: must be printable text of at most 128 bytes"),
        ("name", "\ud800", "name: must be printable text of at most 128 bytes"),
        ("name", 1, "name: must be printable text of at most 128 bytes"),
        ("project", "", "project: must be the name of a project in the settings"),
        ("project", 1, "project: must be the name of a project in the settings"),
        ("labels", [], "labels: must be a JSON object"),
        ("labels", dict.fromkeys("abcdef", ""), "labels: must be no more than 5"),
        ("labels", {"a": 1}, "labels: must be printable text of at most 128 bytes"),
        ("labels", {"a": "x" * 129}, "labels: must be printable text of at most 128 bytes"),
        *(
            (
                "labels",
                {name: "x"},
                "labels: names must be letters, digits or _, with no digit or __ in front",
            )
            for name in ("", "1a", "a-b", "__name__", "ä", "a\n", "a" * 65)
        ),
    ],
)
def test_values_that_are_refused(key: str, value: object, wrong: str) -> None:
    assert refused({"job_id": "a", key: value}) == (Reason.INVALID, wrong)


def test_a_project_has_to_be_in_the_settings() -> None:
    assert refused({"job_id": "a", "project": CANARY}) == (
        Reason.UNKNOWN_PROJECT,
        "project: is not in the settings; allowed: default, prod",
    )


def test_only_some_of_many_projects_are_named() -> None:
    many = {f"p{number:02}" for number in range(50)}
    parsed = parse_body(b'{"job_id": "a"}', projects=many)
    assert isinstance(parsed, Rejection)
    assert parsed.message.endswith("allowed: p00, p01, p02, p03, p04, p05, p06, p07, p08, p09, …")


def test_an_unknown_key_is_named() -> None:
    assert refused({"jobId": "a"}) == (
        Reason.INVALID,
        "unknown key jobId; allowed: job_id, project, name, deadline, labels",
    )


@pytest.mark.parametrize("key", ["a b", "\x1b[31m", "x" * 25, "", "ключ", "\ud800"])
def test_an_unknown_key_that_may_be_anything_is_not_named(key: str) -> None:
    assert refused({"job_id": "a", key: 1}) == (
        Reason.INVALID,
        "unknown key; allowed: job_id, project, name, deadline, labels",
    )


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\xff\xfe{", "is not UTF-8 text"),
        ('{"job_id": "a"', "is not valid JSON"),
        ('{"job_id": "a"} x', "is not valid JSON"),
        ("[" * 60_000, "is not valid JSON"),
        ('{"deadline": ' + "1" * 60_000 + "}", "is not valid JSON"),
    ],
)
def test_what_is_no_registration_at_all(content: str | bytes, wrong: str) -> None:
    assert refused(content) == (Reason.MALFORMED, wrong)


def test_an_entry_is_an_object() -> None:
    assert refused(["a"]) == (Reason.MALFORMED, "entry 1: must be a JSON object")


def test_an_id_is_needed() -> None:
    assert refused({"name": "a"}) == (Reason.INVALID, "job_id: is missing")


def test_good_entries_stand_beside_bad_ones_which_take_one_line() -> None:
    parsed = read("a\nno id\nb\n../c\n")
    assert [registration.job_id for registration in parsed.registrations] == ["a", "b"]
    wanted = "job.json: line 2: job_id: must be 1 to 64 letters, digits or - (and 1 more like it)"
    assert parsed.rejected == (Rejection(Reason.INVALID, wanted),)


def test_there_is_one_line_for_each_reason() -> None:
    parsed = read([{"job_id": "a", "project": "x"}, {}, 1, {}, 2])
    assert [rejection.reason for rejection in parsed.rejected] == [
        Reason.UNKNOWN_PROJECT,
        Reason.INVALID,
        Reason.MALFORMED,
    ]


def test_a_file_names_so_many_jobs_and_no_more() -> None:
    parsed = read("\n".join(f"a{number}" for number in range(MOST_IDS + 1)))
    assert len(parsed.registrations) == MOST_IDS
    wanted = "job.json: names more than 1000 jobs; the others are left out"
    assert parsed.rejected == (Rejection(Reason.TOO_MANY, wanted),)
    assert read("a\n" * MOST_IDS).rejected == ()


@pytest.mark.parametrize(
    "content",
    [
        CANARY + " ",
        f"-----BEGIN {CANARY}-----\n{CANARY}==\n",
        f"{{{CANARY}",
        f'["{CANARY}"]',
        f'{{"{CANARY}/+==": "{CANARY}"}}',
        f'{{"job_id": "{CANARY}="}}',
        f'{{"job_id": "a", "project": "{CANARY}"}}',
        f'{{"job_id": "a", "name": "{CANARY}\\n"}}',
        f'{{"job_id": "a", "deadline": "{CANARY}"}}',
        f'{{"job_id": "a", "labels": {{"{CANARY}+": "{CANARY}"}}}}',
        f'{{"job_id": "a", "labels": {{"a": "{CANARY}\\n"}}}}',
    ],
)
def test_no_content_is_repeated(content: str) -> None:
    for rejection in read(content).rejected:
        assert CANARY not in rejection.message


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nb", "'a\\nb'"), ("\udcff", "'\\udcff'"), ("x" * 255, "x" * 128 + "…"), ("ä b", "ä b")],
)
def test_a_file_name_is_shown_in_one_short_line(name: str, shown: str) -> None:
    (rejection,) = parse_file(name, b"", projects=PROJECTS).rejected
    assert rejection.message == f"{shown}: is empty"


@pytest.mark.parametrize(
    "registration",
    [
        Registration(job_id="a"),
        Registration(job_id="a", project="prod", name="ä\\\"'", deadline=1.8e9, labels={"a": "b"}),
    ],
)
def test_what_is_written_is_read_again(registration: Registration) -> None:
    content = file_content(registration)
    assert content.endswith(b"}\n")
    assert read(content) == Parsed((registration,))


def test_a_body_is_one_object() -> None:
    body = b'{"job_id": "a", "project": "prod"}'
    assert parse_body(body, projects=PROJECTS) == Registration(job_id="a", project="prod")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is not valid JSON"),
        (b"a\n", "is not valid JSON"),
        (b"\xff", "is not UTF-8 text"),
        (b'[{"job_id": "a"}]', "must be a JSON object"),
    ],
)
def test_a_body_is_nothing_else(body: bytes, message: str) -> None:
    assert parse_body(body, projects=PROJECTS) == Rejection(Reason.MALFORMED, message)
