"""The table of regions."""

import pytest

from exporter.dli import endpoints


def test_there_are_twenty_eight_regions() -> None:
    assert len(endpoints.regions()) == 28
    assert list(endpoints.regions()) == sorted(endpoints.regions())


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("ap-southeast-3", "ap-southeast-3.myhuaweicloud.com"),
        ("eu-west-101", "eu-west-101.myhuaweicloud.eu"),
        ("ru-northwest-2", "ru-northwest-2.myhuaweicloud.com"),
    ],
)
def test_a_region_gives_both_endpoints(region: str, host: str) -> None:
    assert endpoints.dli_endpoint(region) == f"https://dli.{host}"
    assert endpoints.iam_endpoint(region) == f"https://iam.{host}"


@pytest.mark.parametrize("region", ["", "eu-de", "EU-WEST-101", "evil.example/"])
def test_an_unknown_region_gives_none(region: str) -> None:
    assert endpoints.dli_endpoint(region) is None
    assert endpoints.iam_endpoint(region) is None
