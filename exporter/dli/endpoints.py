"""Where DLI and IAM answer, by region (the vendor SDK's table, with its gaps filled)."""

from typing import Final

_REGIONS: Final = frozenset(
    {
        "ae-ad-1",
        "af-north-1",
        "af-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "cn-east-2",
        "cn-east-3",
        "cn-east-4",
        "cn-east-5",
        "cn-north-1",
        "cn-north-2",
        "cn-north-4",
        "cn-north-9",
        "cn-south-1",
        "cn-southwest-2",
        "eu-west-0",
        "eu-west-101",
        "la-north-2",
        "la-south-2",
        "me-east-1",
        "my-kualalumpur-1",
        "na-mexico-1",
        "ru-moscow-1",
        "ru-northwest-2",
        "sa-brazil-1",
        "tr-west-1",
    }
)
# The European sovereign cloud lives under a top-level domain of its own, IAM included.
_DOMAINS: Final = {"eu-west-101": "myhuaweicloud.eu"}


def dli_endpoint(region: str) -> str | None:
    """Give the region's DLI endpoint; None for a region that is not in the table."""
    return _endpoint("dli", region)


def iam_endpoint(region: str) -> str | None:
    """Give the region's IAM endpoint; None for a region that is not in the table."""
    return _endpoint("iam", region)


def regions() -> tuple[str, ...]:
    """List the regions that the table knows, sorted."""
    return tuple(sorted(_REGIONS))


def _endpoint(service: str, region: str) -> str | None:
    if region not in _REGIONS:
        return None
    return f"https://{service}.{region}.{_DOMAINS.get(region, 'myhuaweicloud.com')}"
