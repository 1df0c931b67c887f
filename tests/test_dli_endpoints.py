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


@pytest.mark.parametrize("region", endpoints.regions())
def test_no_region_gives_an_address_of_another_cloud(region: str) -> None:
    """The vendor's SDK falls back to its global IAM and to one region's STS."""
    domain = "eu" if region == "eu-west-101" else "com"
    for endpoint in (endpoints.dli_endpoint, endpoints.iam_endpoint, endpoints.sts_endpoint):
        address = endpoint(region)
        assert address is None or address.endswith(f".{region}.myhuaweicloud.{domain}")


@pytest.mark.parametrize("region", ["", "eu-de", "eu-west-101", "cn-north-1", "me-east-1"])
def test_sts_is_not_in_every_region(region: str) -> None:
    assert endpoints.sts_endpoint(region) is None


def test_sts_is_known_where_the_vendors_sdk_knows_it() -> None:
    known = [region for region in endpoints.regions() if endpoints.sts_endpoint(region)]
    assert len(known) == 12
    assert endpoints.sts_endpoint("cn-north-4") == "https://sts.cn-north-4.myhuaweicloud.com"


@pytest.mark.parametrize(
    ("endpoint", "split"),
    [
        ("https://dli.example.com", ("https://dli.example.com", "dli.example.com")),
        ("https://DLI.example.com:443/", ("https://dli.example.com:443", "dli.example.com")),
        ("http://127.0.0.1:8080", ("http://127.0.0.1:8080", "127.0.0.1:8080")),
    ],
)
def test_an_origin_is_split_from_its_host_header(endpoint: str, split: tuple[str, str]) -> None:
    assert endpoints.origin(endpoint) == split
