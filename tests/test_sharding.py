"""Sharing projects among replicas: stable, even, and with little moved when replicas come."""

from collections import Counter

import pytest

from exporter.sharding import Shard

ENDPOINT = "https://dli.ap-southeast-3.myhuaweicloud.com"
IDS = [f"{number:032x}" for number in range(4000)]


def owners(total: int, ids: list[str] = IDS) -> dict[str, int]:
    shard = Shard(0, total)
    return {each: shard.owner(ENDPOINT, each) for each in ids}


def test_one_replica_watches_everything() -> None:
    assert all(Shard(0, 1).owns(ENDPOINT, each) for each in IDS)


@pytest.mark.parametrize("total", [2, 3, 8])
def test_every_project_has_exactly_one_owner(total: int) -> None:
    for each in IDS[:200]:
        assert [Shard(n, total).owns(ENDPOINT, each) for n in range(total)].count(True) == 1


@pytest.mark.parametrize("total", [2, 3, 8])
def test_shares_are_even(total: int) -> None:
    shares = Counter(owners(total).values())
    assert shares.keys() == set(range(total))
    even = len(IDS) / total
    assert all(abs(share - even) < 0.15 * even for share in shares.values())


@pytest.mark.parametrize("total", [1, 2, 3, 8])
def test_one_replica_more_takes_its_part_and_nothing_else_moves(total: int) -> None:
    before, after = owners(total), owners(total + 1)
    moved = {each for each in IDS if before[each] != after[each]}
    assert {after[each] for each in moved} == {total}
    part = len(IDS) / (total + 1)
    assert abs(len(moved) - part) < 0.15 * part


def test_owners_are_the_same_in_every_process_and_release() -> None:
    """A release that shares out differently would watch some jobs twice while it rolls out."""
    assert list(owners(3, IDS[:12]).values()) == [1, 0, 2, 1, 0, 1, 2, 0, 0, 1, 2, 2]


def test_the_region_is_part_of_the_key() -> None:
    shard = Shard(0, 8)
    other = "https://dli.eu-west-101.myhuaweicloud.eu"
    assert any(shard.owner(ENDPOINT, each) != shard.owner(other, each) for each in IDS[:50])
