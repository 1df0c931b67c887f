"""Who may come in by user and password."""

import asyncio
import base64
import threading
from collections.abc import Mapping

import bcrypt
import pytest

from exporter.web.security.passwords import Gatekeeper, bcrypt_check, credentials

RIGHT = "open sesame"


def basic(user: str, password: str | bytes) -> str:
    raw = password.encode() if isinstance(password, str) else password
    return "Basic " + base64.b64encode(user.encode() + b":" + raw).decode()


def hashed(password: str | bytes) -> str:
    raw = password.encode() if isinstance(password, str) else password
    return bcrypt.hashpw(raw[:72], bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")


USERS = {"prometheus": hashed(RIGHT), "grafana": hashed("other"), "long": hashed("x" * 72)}


class Counting:
    """Checks passwords with bcrypt, and counts; it can hold checks up."""

    def __init__(self) -> None:
        self.checked: list[bytes] = []
        self.at_work = 0
        self.most_at_work = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, password: bytes, expected: bytes) -> bool:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        self.checked.append(expected)
        self.may_go_on.wait(10)
        try:
            return bcrypt_check(password, expected)
        finally:
            self.at_work -= 1


@pytest.fixture
def checks() -> Counting:
    return Counting()


@pytest.fixture
def gatekeeper(checks: Counting) -> Gatekeeper:
    return Gatekeeper(b"secret of this test", checks)


def there() -> bool:
    return False


async def admitted(
    gatekeeper: Gatekeeper, header: str | None, users: Mapping[str, str] = USERS
) -> bool:
    return await gatekeeper.admits(users, header, there)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (basic("prometheus", RIGHT), True),
        (basic("prometheus", RIGHT).replace("Basic", "bAsIc"), True),
        (basic("long", "x" * 72), True),
        (basic("prometheus", "other"), False),
        (basic("grafana", RIGHT), False),
        (basic("nobody", RIGHT), False),
        (basic("", ""), False),
        (basic("long", "x" * 73), False),
        (basic("prometheus", RIGHT + "\0"), False),
        (basic("prometheus", b"\xff\xfe"), False),
        (None, False),
        ("", False),
        ("Basic", False),
        ("Basic ", False),
        ("Basic !!!", False),
        ("Basic ü", False),
        ("Bearer " + basic("prometheus", RIGHT)[6:], False),
        ("Basic " + base64.b64encode(b"prometheus").decode(), False),
        ("Basic " + base64.b64encode(b"\xff:x").decode(), False),
    ],
)
async def test_only_the_right_password_of_a_user_is_let_in(
    gatekeeper: Gatekeeper, header: str | None, expected: bool
) -> None:
    assert await admitted(gatekeeper, header) is expected
    assert await admitted(gatekeeper, header) is expected, "by the verdict remembered"


async def test_a_verdict_is_remembered_be_it_good_or_bad(
    gatekeeper: Gatekeeper, checks: Counting
) -> None:
    for header in (basic("prometheus", RIGHT), basic("prometheus", "x"), basic("nobody", "x")):
        before = len(checks.checked)
        for _ in range(3):
            await admitted(gatekeeper, header)
        assert len(checks.checked) == before + 1


async def test_a_new_password_counts_at_once(gatekeeper: Gatekeeper) -> None:
    assert await admitted(gatekeeper, basic("prometheus", RIGHT))
    changed = {"prometheus": hashed("new")}
    assert not await admitted(gatekeeper, basic("prometheus", RIGHT), changed)
    assert await admitted(gatekeeper, basic("prometheus", "new"), changed)
    assert not await admitted(gatekeeper, basic("prometheus", RIGHT), {"grafana": USERS["grafana"]})


async def test_an_unknown_user_costs_the_same_bcrypt(
    gatekeeper: Gatekeeper, checks: Counting
) -> None:
    await admitted(gatekeeper, basic("nobody", "x"))
    await admitted(gatekeeper, basic("nobody", "y"))
    assert len(checks.checked) == 2
    assert set(checks.checked) <= {each.encode() for each in USERS.values()}
    assert checks.checked[0] == checks.checked[1], "else it would differ from a known user"


async def test_a_name_with_the_stand_in_s_password_is_still_unknown(checks: Counting) -> None:
    only = {"prometheus": USERS["prometheus"]}
    assert not await admitted(Gatekeeper(b"k", checks), basic("nobody", RIGHT), only)


async def test_who_guesses_displaces_no_scraper(gatekeeper: Gatekeeper, checks: Counting) -> None:
    await admitted(gatekeeper, basic("prometheus", RIGHT))
    for number in range(200):
        await admitted(gatekeeper, basic("prometheus", f"guess {number}"))
    before = len(checks.checked)
    assert await admitted(gatekeeper, basic("prometheus", RIGHT))
    assert len(checks.checked) == before
    await admitted(gatekeeper, basic("prometheus", "guess 0"))
    assert len(checks.checked) == before + 1, "what is remembered is bounded"


async def test_one_password_is_checked_at_a_time_and_a_known_one_does_not_wait(
    gatekeeper: Gatekeeper, checks: Counting
) -> None:
    await admitted(gatekeeper, basic("prometheus", RIGHT))
    checks.may_go_on.clear()
    async with asyncio.TaskGroup() as group:
        same = [group.create_task(admitted(gatekeeper, basic("grafana", "other"))) for _ in "123"]
        wrong = group.create_task(admitted(gatekeeper, basic("grafana", "wrong")))
        assert await admitted(gatekeeper, basic("prometheus", RIGHT))
        checks.may_go_on.set()
    assert [task.result() for task in same] == [True] * 3
    assert wrong.result() is False
    assert checks.most_at_work == 1
    assert len(checks.checked) == 3, "the same password once"


async def test_nobody_is_checked_who_has_gone(gatekeeper: Gatekeeper, checks: Counting) -> None:
    assert not await gatekeeper.admits(USERS, basic("prometheus", RIGHT), lambda: True)
    assert checks.checked == []
    assert await admitted(gatekeeper, basic("prometheus", RIGHT)), "nothing was remembered"


def test_a_password_may_hold_colons_and_a_user_none() -> None:
    assert credentials(basic("user", "a:b:c")) == ("user", b"a:b:c")
