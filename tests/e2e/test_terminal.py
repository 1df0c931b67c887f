"""`watch` and `wait` as somebody at a terminal, in a script or in a pipeline meets them."""

import asyncio
import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from rich.cells import cell_len

from exporter.simulator import Endpoint, Fault, Particulars, Simulator, serve

from .exporters import alone, exporter, lasting, quiet, timeline
from .processes import PATIENCE, completed, listening, running

CODES: Final = {"FINISHED": 0, "FAILED": 1, "CANCELLED": 1}
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
SEQUENCE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HOSTILE: Final = "\x1b]0;owned\x07\x1b[2J\u202eevil\x9b31m[bold]x[/]"
COMMAND: Final = (sys.executable, "-m", "exporter")
OFTEN: Final = "--interval=200ms"


@dataclass
class Place:
    """A simulated DLI, and the settings of who asks it."""

    dli: Simulator
    address: str
    home: Path
    settings: Path

    def job(self, name: str = "", subjobs: int = 0) -> str:
        """Add a job, which runs until it is told to end, to DLI and to the settings."""
        about = Particulars(statement="select 1", tags={"jobName": name} if name else {})
        job = self.dli.add(lasting(subjobs=subjobs), particulars=about)
        alone(self.home, self.dli, self.address, tags={"name": "jobName"})
        return job

    @property
    def direct(self) -> tuple[str, ...]:
        return f"--config.file={self.settings}", OFTEN

    async def polled(self, times: int) -> None:
        """Wait until progress was asked for so many times more."""
        wanted = self.dli.requested(Endpoint.PROGRESS, 200) + times
        async with asyncio.timeout(PATIENCE):
            await self.dli.until(lambda dli: dli.requested(Endpoint.PROGRESS, 200) >= wanted)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    dli = quiet()
    async with serve(dli) as address:
        yield Place(dli, address, tmp_path, alone(tmp_path, dli, address))


@dataclass
class Terminal:
    """A program in a terminal of its own, and everything that it has drawn."""

    process: asyncio.subprocess.Process
    raw: bytearray = field(default_factory=bytearray)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def text(self) -> str:
        return self.raw.decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """All lines ever drawn, without what moves the cursor or colours."""
        return SEQUENCE.sub("", self.text).replace("\r", "\n").splitlines()

    async def shows(self, pattern: str) -> None:
        def found() -> bool:
            return any(re.search(pattern, line) for line in self.lines)

        await self.until(found, pattern)

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            raise AssertionError(f"no {what!r} in {self.text!r}") from None


@asynccontextmanager
async def terminal(
    *arguments: str, home: Path, width: int = 100, env: Mapping[str, str] | None = None
) -> AsyncIterator[Terminal]:
    """Run a command of the exporter in a terminal, 24 lines high."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color"}
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, *arguments),
        cwd=home,
        env={**surroundings, "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **(env or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, loop = Terminal(process), asyncio.get_running_loop()

    def read() -> None:
        try:
            data = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            loop.remove_reader(ours)
        shown.raw.extend(data)
        shown.news.set()

    loop.add_reader(ours, read)
    try:
        yield shown
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        loop.remove_reader(ours)
        os.close(ours)
        sys.stdout.write(repr(shown.text[-4000:]))


def stamped(output: str) -> list[str]:
    """Return lines without the time that they begin with."""
    return [
        re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "@ ", line) for line in output.splitlines()
    ]


@asynccontextmanager
async def asked(place: Place, job: str, how: str) -> AsyncIterator[tuple[str, ...]]:
    """Give the flags to ask DLI, or an exporter that watches the job."""
    if how == "direct":
        yield place.direct
        return
    async with exporter(place.settings) as server:
        await server.statuses({job: "RUNNING"})
        yield f"--exporter={server.url}", OFTEN


@pytest.mark.parametrize("how", ["direct", "exporter"])
@pytest.mark.parametrize(("status", "code"), CODES.items())
async def test_the_exit_code_is_the_fate(place: Place, how: str, status: str, code: int) -> None:
    job = place.job()
    async with (
        asked(place, job, how) as flags,
        running(*COMMAND, "wait", job, *flags, cwd=place.home) as process,
    ):
        await process.shows("RUNNING")
        place.dli.end(job, status)
        assert (await process.ended(), process.err) == (code, "")
    first, second, last = stamped(process.out)
    assert first == f"@ {job}: RUNNING"
    assert re.fullmatch(rf"@ {job}: {status} after \d+s", second)
    assert re.fullmatch(rf"{status}: {job} after \d+s, waited \d+s", last)
    assert SEQUENCE.search(process.out) is None


@pytest.mark.parametrize("how", ["direct", "exporter"])
async def test_a_time_out_is_2(place: Place, how: str) -> None:
    job = place.job()
    async with asked(place, job, how) as flags:
        code, out, _ = await completed("wait", job, "--timeout=2s", *flags, cwd=place.home)
    assert code == 2
    assert re.fullmatch(rf"TIMED OUT: {job}, waited \d+s", out.splitlines()[-1])


async def test_a_job_that_dli_does_not_know_is_3(place: Place) -> None:
    code, out, _ = await completed("wait", "missing", *place.direct, cwd=place.home)
    assert code == 3
    first, last = stamped(out)
    assert first == "@ missing: UNKNOWN, DLI knows no such job"
    assert re.fullmatch(r"UNKNOWN: missing, waited \d+s", last)


async def test_an_api_that_refuses_is_3(place: Place) -> None:
    job = place.job()
    place.dli.faults.add(Fault(status=403, code="APIGW.0302", message="not you"))
    code, out, err = await completed("wait", job, "--patience=1s", *place.direct, cwd=place.home)
    assert code == 3
    assert re.search(r"UNKNOWN, no good answer from DLI for \d+s: forbidden", out)
    assert "not you" in err
    assert "Traceback" not in err


async def test_an_exporter_that_does_not_show_a_job_is_3(place: Place) -> None:
    job = place.job()
    async with asked(place, job, "exporter") as flags:
        about = ("wait", "missing", "--patience=1s", *flags)
        code, out, _ = await completed(*about, cwd=place.home)
    assert code == 3
    assert "missing: UNKNOWN, the exporter shows no such job" in out


async def test_an_exporter_out_of_reach_is_3(place: Place) -> None:
    flags = ("--exporter=http://127.0.0.1:1", "--patience=1s", OFTEN)
    code, out, err = await completed("wait", "a", *flags, cwd=place.home)
    assert code == 3
    assert re.search(r"no good answer from the exporter for \d+s: connection", out)
    assert err.count("the exporter does not answer") == 1


async def test_a_mistake_is_64(place: Place) -> None:
    for arguments in (("wait",), ("wait", "a", "--timeout=soon"), ("watch", "--interval")):
        code, out, err = await completed(*arguments, cwd=place.home)
        assert (code, out, len(err.splitlines())) == (64, "", 1)


async def test_several_jobs_are_waited_for_to_the_last(place: Place) -> None:
    first, second = place.job(), place.job()
    command = (*COMMAND, "wait", first, second, *place.direct)
    async with running(*command, cwd=place.home) as process:
        await process.shows(f"{second}: RUNNING")
        place.dli.end(first, "FAILED")
        await process.shows(f"{first}: FAILED")
        place.dli.end(second, "FINISHED")
        assert await process.ended() == 1
    assert re.fullmatch("FAILED: 1 FAILED, 1 FINISHED, waited .*", process.out.splitlines()[-1])


SCRIPT: Final = """\
PATH="$BIN:$PATH"
if dli-exporter wait "$ID" --timeout 1m $FLAGS; then
    echo next
else
    case $? in
        1) echo failed ;;
        2) echo late ;;
        *) echo trouble ;;
    esac
fi
echo end
"""


@pytest.mark.parametrize(("status", "said"), [("FINISHED", "next"), ("FAILED", "failed")])
async def test_a_shell_script_goes_on_with_the_fate(place: Place, status: str, said: str) -> None:
    command = place.home / "bin" / "dli-exporter"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m exporter "$@"\n', encoding="utf-8")
    command.chmod(0o700)
    job = place.job()
    env = {"BIN": str(command.parent), "ID": job, "FLAGS": " ".join(place.direct)}
    async with running("sh", "-c", SCRIPT, cwd=place.home, env=env) as script:
        await script.shows("RUNNING")
        place.dli.end(job, status)
        assert await script.ended() == 0
    assert script.out.splitlines()[-2:] == [said, "end"]


async def test_a_fate_is_told_to_nobody_s_ears(place: Place) -> None:
    """The reader of the pipe leaves; the exit code is what counts."""
    job = place.job()
    waiting = shlex.join((*COMMAND, "wait", job, *place.direct))
    script = f'{{ {waiting}; echo "code $?" >&2; }} | true'
    async with running("sh", "-c", script, cwd=place.home) as shell:
        await place.polled(3)
        place.dli.end(job, "FAILED")
        await shell.shows("^code 1$")
    assert shell.err == "code 1\n"


async def test_quiet_says_nothing(place: Place) -> None:
    job = place.dli.add(timeline((0, "RUNNING"), (1, "FINISHED")))
    result = await completed("wait", job, "--quiet", *place.direct, cwd=place.home)
    assert result == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("word", ["wait", "watch"])
async def test_a_signal_ends_it_at_once(place: Place, word: str, number: signal.Signals) -> None:
    command = (*COMMAND, word, place.job(), *place.direct)
    async with running(*command, cwd=place.home) as process:
        await process.shows("RUNNING")
        process.signal(number)
        assert await process.ended() == 128 + number
    assert process.err == ""


async def test_an_exporter_may_go_away_and_come_back(place: Place) -> None:
    job = place.job()
    flags = (*COMMAND, f"--config.file={place.settings}")

    def again(port: str) -> tuple[str, ...]:
        return (*flags, f"--web.listen-address=127.0.0.1:{port}", "--web.linger=0s")

    async with running(*again("0"), cwd=place.home) as first:
        url = await listening(first)
        waiting = (*COMMAND, "wait", job, f"--exporter={url}", OFTEN)
        async with running(*waiting, cwd=place.home) as process:
            await process.shows("RUNNING")
            assert await first.stop() == 0
            await process.shows("the exporter does not answer")
            async with running(*again(url.rpartition(":")[2]), cwd=place.home):
                await process.shows("the exporter answers again")
                place.dli.end(job, "FINISHED")
                assert await process.ended() == 0
    assert [line.split()[1] for line in process.out.splitlines()[:-1]] == [f"{job}:"] * 2


async def test_a_short_loss_of_the_api_is_survived(place: Place) -> None:
    job = place.job()
    command = (*COMMAND, "wait", job, *place.direct)
    async with running(*command, cwd=place.home) as process:
        await process.shows("RUNNING")
        fault = place.dli.faults.add(Fault(status=403, code="APIGW.0302", message="not now"))
        await process.shows("calls fail")
        place.dli.faults.remove(fault)
        await place.polled(1)
        place.dli.end(job, "FINISHED")
        assert await process.ended() == 0


async def test_watch_draws_bars_until_all_has_ended(place: Place) -> None:
    job = place.job("nightly sales", subjobs=3)
    async with terminal("watch", job, *place.direct, home=place.home) as shown:
        await shown.shows("nightly sales.*RUNNING.*━")
        place.dli.end(job, "FINISHED")
        assert await shown.ended() == 0
        await shown.shows("1 job, 1 finished")
    assert shown.text.startswith(HIDDEN)
    assert shown.text.rindex(SHOWN) > shown.text.rindex("1 finished")
    assert "\x1b[36mRUNNING" in shown.text
    assert "\x1b[32mFINISHED" in shown.text


async def test_watch_shows_running_sub_jobs(place: Place) -> None:
    job = place.job(subjobs=50)
    async with terminal("watch", job, *place.direct, home=place.home, width=200) as shown:
        await shown.shows(r"  49 collect at made_up.py:1 +5 of 10 +━+.*50 %")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_leaves_the_last_picture(place: Place, number: signal.Signals) -> None:
    async with terminal("watch", place.job(), *place.direct, home=place.home) as shown:
        await shown.shows("1 job, 1 running")
        shown.process.send_signal(number)
        assert await shown.ended() == 128 + number
        await shown.until(lambda: SHOWN in shown.text, "cursor")
    assert "RUNNING" in shown.text[shown.text.rindex("JOB") :]
    assert "Traceback" not in shown.text


@pytest.mark.parametrize("width", [40, 200])
async def test_no_line_is_wider_than_the_terminal(place: Place, width: int) -> None:
    names = ("nightly", "日本語" * 20, "x" * 100)
    jobs = [place.job(name, subjobs=50) for name in names]
    flags = (*place.direct, "--history.enabled")
    async with terminal("watch", *jobs, *flags, home=place.home, width=width) as shown:
        await shown.shows("3 jobs, 3 running")
        shown.process.send_signal(signal.SIGINT)
        await shown.ended()
    assert max(map(cell_len, shown.lines)) <= width


@pytest.mark.parametrize("how", ["direct", "exporter"])
@pytest.mark.parametrize("word", ["watch", "wait"])
async def test_a_name_can_do_nothing_to_the_terminal(place: Place, word: str, how: str) -> None:
    job = place.job(HOSTILE)
    async with (
        asked(place, job, how) as flags,
        terminal(word, job, *flags, home=place.home, width=200) as shown,
    ):
        await shown.shows(r"evil.*\[bold\]x\[/\].*RUNNING")
        place.dli.end(job, "CANCELLED")
        assert await shown.ended() == 1
    for harm in ("\x1b]", "\x07", "\x1b[2J", "\u202e", "\x9b"):
        assert harm not in shown.text


async def test_no_color_is_respected(place: Place) -> None:
    env = {"NO_COLOR": "1"}
    async with terminal("watch", place.job(), *place.direct, home=place.home, env=env) as shown:
        await shown.shows("RUNNING")
    assert re.search(r"\x1b\[[0-9;]*(3[0-7]|9[0-7])", shown.text) is None


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
async def test_a_terminal_that_can_do_nothing_gets_lines(place: Place, term: str) -> None:
    job = place.job()
    env = {"TERM": term}
    async with terminal("watch", job, *place.direct, home=place.home, env=env) as shown:
        await shown.shows(f"Z {job}: RUNNING")
        place.dli.end(job, "FAILED")
        assert await shown.ended() == 1
        await shown.shows(f"^FAILED: {job} after")
    assert SEQUENCE.search(shown.text) is None


async def test_wait_draws_nothing_in_a_terminal_either(place: Place) -> None:
    job = place.job()
    async with terminal("wait", job, *place.direct, home=place.home) as shown:
        await shown.shows(f"Z {job}: RUNNING")
        place.dli.end(job, "FINISHED")
        assert await shown.ended() == 0
    assert SEQUENCE.search(shown.text) is None


@pytest.mark.parametrize("word", ["watch", "wait"])
async def test_a_locale_without_utf_8_is_no_trouble(place: Place, word: str) -> None:
    job = place.job("日本語 süß")
    env = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    }
    async with terminal(word, job, *place.direct, home=place.home, env=env) as shown:
        await shown.shows("RUNNING")
        place.dli.end(job, "FINISHED")
        assert await shown.ended() == 0
    assert bytes(shown.raw).isascii()
    assert "Traceback" not in shown.text


@pytest.mark.parametrize("how", ["direct", "exporter"])
async def test_watch_without_ids_shows_all_and_lasts(place: Place, how: str) -> None:
    jobs = [place.job(), place.job()]
    async with (
        asked(place, jobs[0], how) as flags,
        running(*COMMAND, "watch", *flags, cwd=place.home) as process,
    ):
        for job in jobs:
            await process.shows(f"{job}: RUNNING")
        for job in jobs:
            place.dli.end(job, "FINISHED")
            await process.shows(f"{job}: FINISHED")
        process.signal(signal.SIGINT)
        assert await process.ended() == 130


async def test_troubles_stand_below_the_bars_and_above_them_in_full(place: Place) -> None:
    job = place.job()
    async with terminal("watch", job, *place.direct, home=place.home, width=200) as shown:
        await shown.shows("1 job, 1 running")
        place.dli.faults.add(Fault(status=403, code="APIGW.0302", message="not you"))
        await shown.shows("^default: HTTP 403 APIGW.0302: not you .forbidden.")
        await shown.shows('level=warning .* msg="calls fail" .*not you')
