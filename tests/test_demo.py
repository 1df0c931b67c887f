"""The simulated DLI of ``demo`` and ``simulate``, and the settings that connect to it."""

import asyncio
import re
import shlex
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

import exporter
from exporter import app
from exporter.check import check
from exporter.connection import StartError
from exporter.demo import connected_to, connection, simulated
from exporter.settings import Duration, Settings, load
from exporter.simulator import Repeat, Simulator, Throttle

ANYWHERE: Final = {"listen_address": "127.0.0.1:0"}
RECORDINGS: Final = Path(exporter.__file__).parent / "simulator" / "recordings"


def settings(**simulator: object) -> Settings:
    return Settings.model_validate({"simulator": {**ANYWHERE, **simulator}})


def exported(text: str) -> Mapping[str, str]:
    """Read ``export`` lines as a shell does."""
    words = (shlex.split(line) for line in text.splitlines() if line.startswith("export "))
    return dict(word.split("=", 1) for _, word in words)


def yaml_part(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if line[:7] != "export ")


async def test_the_printed_settings_file_can_be_read_and_works(tmp_path: Path) -> None:
    async with simulated(settings().simulator) as (address, dli):
        path = tmp_path / "dli.yaml"
        path.write_text(yaml_part(connection(address, dli)), encoding="utf-8")
        read = load([f"--config.file={path}"], {})
        (verdict,) = await check(read)
        assert (verdict.error, verdict.project) == (None, "default")
        assert set(read.projects["default"].jobs) <= set(dli.job_ids())
        assert verdict.status in ("LAUNCHING", "RUNNING")


async def test_the_printed_variables_can_be_read_and_say_the_same(tmp_path: Path) -> None:
    async with simulated(settings().simulator) as (address, dli):
        text = connection(address, dli)
        path = tmp_path / "dli.yaml"
        path.write_text(yaml_part(text), encoding="utf-8")
        read = load([], exported(text))
        (verdict,) = await check(read)
        assert verdict.error is None
        assert read.projects == load([f"--config.file={path}"], {}).projects


def live(dli: Simulator) -> set[str]:
    states = [dli.state(job_id) for job_id in dli.job_ids()]
    return {state.job_id for state in states if state and state.end is None}


async def test_only_jobs_that_have_not_ended_are_printed() -> None:
    async with simulated(settings().simulator) as (address, dli):
        before = live(dli)
        jobs = set(load([], exported(connection(address, dli))).projects["default"].jobs)
        after = live(dli)  # time goes on
        assert before & after <= jobs <= before | after
        assert 0 < len(jobs) < len(dli.job_ids())


async def test_the_demos_exporter_finds_and_names_the_jobs() -> None:
    given = settings()
    async with simulated(given.simulator) as (address, dli):
        text = await app.once(connected_to(given, address, dli))
        known = set(dli.job_ids())
    samples = [
        sample
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    ]
    infos = [sample.labels for sample in samples if sample.name == "dli_job_info"]
    assert infos
    assert {labels["job_id"] for labels in infos} <= known
    assert all(labels["name"] and labels["queue_name"] for labels in infos)
    ups = [
        (sample.labels["project"], sample.value) for sample in samples if sample.name == "dli_up"
    ]
    assert ups == [("default", 1.0)]


async def test_the_demo_keeps_the_other_settings() -> None:
    given = Settings.model_validate(
        {
            "simulator": ANYWHERE,
            "web": {"listen_address": "127.0.0.1:1234", "linger": "7s"},
            "poll": {"interval": "3s"},
            "tags": {"deadline": "sla", "labels": ["workspace"]},
        }
    )
    async with simulated(given.simulator) as (address, dli):
        connected = connected_to(given, address, dli)
    assert (connected.web, connected.poll) == (given.web, given.poll)
    assert (connected.tags.deadline, connected.tags.labels) == ("sla", ("workspace",))
    assert connected.tags.name == "jobName"
    assert connected.projects["default"].discovery.enabled
    assert given.projects == {}


async def test_the_demo_does_not_stay_for_a_last_scrape_unless_told_to() -> None:
    given = Settings.model_validate({"simulator": ANYWHERE})
    async with simulated(given.simulator) as (address, dli):
        assert connected_to(given, address, dli).web.linger == Duration("0s")


@pytest.mark.parametrize("seed", range(1, 6))
async def test_the_demo_has_jobs_in_every_phase_from_the_first_moment(seed: int) -> None:
    async with simulated(settings(seed=seed).simulator) as (_, dli):
        states = [dli.state(job_id) for job_id in dli.job_ids()]
    statuses = {state.status for state in states if state}
    assert statuses >= {"LAUNCHING", "RUNNING", "FINISHED", "FAILED", "CANCELLED"}


async def test_a_seed_gives_the_same_account_and_another_one_another() -> None:
    accounts = []
    for seed in (1, 1, 2):
        async with simulated(settings(seed=seed).simulator) as (_, dli):
            accounts.append(dli.projects)
    assert accounts[0] == accounts[1]
    assert accounts[0][0].sk != accounts[2][0].sk


async def test_recordings_of_a_directory_take_the_place_of_those_built_in(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl.gz").write_bytes((RECORDINGS / "single.jsonl.gz").read_bytes())
    given = settings(timelines=str(tmp_path), speed=3).simulator
    async with simulated(given) as (_, dli):
        assert list(dli.timelines) == ["mine"]
        assert dli.scene.speed == 3
        assert dli.scene.repeat is Repeat.NEW_IDS


async def test_without_a_loop_every_recording_runs_once_from_now_on() -> None:
    async with simulated(settings(loop=False).simulator) as (_, dli):
        assert dli.scene.repeat is Repeat.ONCE
        states = [dli.state(job_id) for job_id in dli.job_ids()]
        assert len(states) == len(dli.timelines)
    assert {state.end for state in states if state} == {None}


@pytest.mark.parametrize(
    ("rate", "throttle"),
    [
        (None, None),
        (20, Throttle(limit=20)),
        (2.6, Throttle(limit=3)),
        (0.5, Throttle(limit=1, period=2)),
    ],
)
async def test_callers_are_throttled_above_the_rate(
    rate: float | None, throttle: Throttle | None
) -> None:
    async with simulated(settings(requests_per_second=rate).simulator) as (_, dli):
        assert dli.gateway.throttle == throttle


async def test_answers_fail_or_wait_as_often_and_as_long_as_is_set() -> None:
    async with simulated(settings().simulator) as (_, dli):
        assert dli.faults.as_json() == []
    given = settings(fault_rate=0.25, fault_status=500, fault_delay="2s").simulator
    async with simulated(given) as (_, dli):
        failing, waiting = dli.faults.as_json()
    assert (failing["probability"], failing["status"], failing["delay"]) == (0.25, 500, 2)
    assert waiting["delay"] == 2
    assert "status" not in waiting
    assert "probability" not in waiting


async def test_a_failing_answer_is_seen_by_who_connects() -> None:
    given = settings(fault_rate=1, fault_status=500)
    async with simulated(given.simulator) as (address, dli):
        (verdict,) = await check(connected_to(given, address, dli))
        assert str(verdict).startswith("default: failed (backend): HTTP 500 DLI.0999: ")
        assert dli.requested(status=500) == dli.requested() > 0


async def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartError) as wrong:
            async with simulated(settings(listen_address=address).simulator):
                pass
    line = rf"cannot listen on {re.escape(address)}: .*address already in use.*"
    assert re.fullmatch(line, str(wrong.value), re.IGNORECASE)


async def test_recordings_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(StartError) as wrong:
        async with simulated(settings(timelines=str(tmp_path)).simulator):
            pass
    line = str(wrong.value)
    assert line.startswith(f"{tmp_path}/bad.jsonl.gz:")
    assert "\n" not in line


async def test_a_live_application_is_shown_without_recordings() -> None:
    given = settings(spark="http://127.0.0.1:1").simulator
    async with simulated(given) as (_, dli):
        assert dli.job_ids() == ()
        assert dli.spark is not None


async def test_the_simulator_ends_with_whom_it_served() -> None:
    async with simulated(settings().simulator) as (address, _):
        host, _, port = address.removeprefix("http://").rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        await writer.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))
