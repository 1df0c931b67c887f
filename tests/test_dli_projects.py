"""Which project is meant, and when IAM is asked for it."""

import asyncio
import json

import pytest

from exporter.dli.errors import DliError, ParseError, ProjectUnknown, ServerFailed
from exporter.dli.projects import Lookup, Project, ProjectId, choose, parse_projects

REGION = "eu-west-101"
ID = "48cc2c48765f481480c7db940d6409d1"
DOCUMENTED = {
    "projects": [
        {
            "domain_id": "d78cbac186b744899480f25bd0000000",
            "is_domain": False,
            "parent_id": "d78cbac186b744899480f25bd0000000",
            "name": REGION,
            "description": "",
            "links": {"self": f"https://iam.eu-west-101.myhuaweicloud.eu/v3/projects/{ID}"},
            "id": ID,
            "enabled": True,
        }
    ],
    "links": {"self": "https://iam.eu-west-101.myhuaweicloud.eu/v3/projects", "next": None},
}


def read(document: object) -> tuple[Project, ...]:
    return parse_projects(json.dumps(document).encode())


def test_the_documented_answer_is_read() -> None:
    assert read(DOCUMENTED) == (Project(ID, REGION),)


@pytest.mark.parametrize("document", [[], {}, {"projects": None}, {"projects": {}}, "x"])
def test_what_is_no_list_of_projects_is_refused(document: object) -> None:
    with pytest.raises(ParseError, match="no list of projects"):
        read(document)


@pytest.mark.parametrize(
    "row",
    [
        None,
        {"id": ID},
        {"id": 1, "name": REGION},
        {"id": "../x", "name": REGION},
        {"id": ID, "name": "a b"},
        {"id": ID, "name": REGION, "enabled": False},
    ],
)
def test_rows_that_cannot_be_meant_are_left_out(row: object) -> None:
    assert read({"projects": [row]}) == ()


def test_the_project_with_the_regions_name_is_meant() -> None:
    others = (Project("1", f"{REGION}_team"), Project("2", "cn-north-4"), Project("3", "MOS"))
    assert choose((*others, Project(ID, REGION)), REGION) == ID


@pytest.mark.parametrize(
    ("projects", "line"),
    [
        ((), "set project_id: IAM shows these credentials no project of eu-west-101"),
        (
            (Project("1", "cn-north-4"), Project("2", "eu-west-1010")),
            "set project_id: IAM shows these credentials no project of eu-west-101",
        ),
        (
            (Project("1", f"{REGION}_a"), Project("2", f"{REGION}_b")),
            "set project_id: no project is eu-west-101, but eu-west-101_a, eu-west-101_b",
        ),
        (
            (Project("1", REGION), Project("2", REGION)),
            "set project_id: 2 projects are eu-west-101: 1, 2",
        ),
        (
            tuple(Project(str(n), f"{REGION}_{n}") for n in range(6)),
            "set project_id: no project is eu-west-101, but eu-west-101_0, eu-west-101_1, "
            "eu-west-101_2, eu-west-101_3 and 2 more",
        ),
    ],
)
def test_none_or_several_are_named_in_a_line(projects: tuple[Project, ...], line: str) -> None:
    with pytest.raises(ProjectUnknown) as caught:
        choose(projects, REGION)
    assert str(caught.value) == line


class Looking:
    """What finds a project, when it is let."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.asked = 0
        self.error: DliError | None = None
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.id = ProjectId(
            Lookup("https://iam", REGION),
            self.find,
            monotonic=lambda: self.clock,
            jitter=lambda: 0.0,
        )

    async def find(self, lookup: Lookup) -> str:
        assert lookup.region == REGION
        self.asked += 1
        self.reached.set()
        await self.open.wait()
        if self.error:
            raise self.error
        return ID

    async def fails(self) -> DliError:
        with pytest.raises(DliError) as caught:
            await self.id.get()
        return caught.value


async def test_a_given_id_needs_no_look() -> None:
    looking = Looking()
    given = ProjectId(ID, looking.find, monotonic=lambda: 0.0, jitter=lambda: 0.0)
    assert await given.get() == ID
    assert looking.asked == 0


@pytest.mark.parametrize("given", ["", "a/b", "x" * 65, "ä"])
async def test_a_bad_id_is_refused(given: str) -> None:
    looking = Looking()
    with pytest.raises(ValueError, match="project_id: 1 to 64"):
        ProjectId(given, looking.find, monotonic=lambda: 0.0, jitter=lambda: 0.0)


async def test_an_id_is_looked_up_once_for_all_who_need_it() -> None:
    looking = Looking()
    assert await asyncio.gather(*(looking.id.get() for _ in range(50))) == [ID] * 50
    assert looking.asked == 1


async def test_whoever_gives_up_lets_the_next_one_look() -> None:
    looking = Looking()
    looking.open.clear()
    first, second = (asyncio.create_task(looking.id.get()) for _ in range(2))
    await looking.reached.wait()
    first.cancel()
    looking.open.set()
    assert await second == ID
    assert first.cancelled()


async def test_a_failure_is_remembered_until_it_is_time_to_try_again() -> None:
    looking = Looking()
    looking.error = ServerFailed("HTTP 503")
    first = await looking.fails()
    assert first.called
    again = await looking.fails()
    assert (str(again), again.called) == ("HTTP 503", False)
    assert looking.asked == 1
    looking.clock = 1.0
    await looking.fails()
    assert looking.asked == 2
    looking.clock = 3.0
    looking.error = None
    assert await looking.id.get() == ID
