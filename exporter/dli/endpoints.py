"""Where DLI, IAM and STS answer, by region (the vendor SDK's tables, with their gaps filled)."""

from typing import Final
from urllib.parse import urlsplit

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
# STS is in fewer regions than DLI, and one region's does not know the agencies of another cloud.
_STS_REGIONS: Final = frozenset(
    {
        "af-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "cn-east-3",
        "cn-north-4",
        "cn-south-1",
        "cn-southwest-2",
        "la-south-2",
        "sa-brazil-1",
        "tr-west-1",
    }
)
# The European sovereign cloud lives under a top-level domain of its own, IAM included.
_DOMAINS: Final = {"eu-west-101": "myhuaweicloud.eu"}
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_RULE: Final = "endpoint: must be https://HOST or https://HOST:PORT, and no more"


def dli_endpoint(region: str) -> str | None:
    """Give the region's DLI endpoint; None for a region that is not in the table."""
    return _endpoint("dli", region) if region in _REGIONS else None


def iam_endpoint(region: str) -> str | None:
    """Give the region's IAM endpoint; None for a region that is not in the table.

    There is no global one to fall back to: it would be another cloud's.
    """
    return _endpoint("iam", region) if region in _REGIONS else None


def sts_endpoint(region: str) -> str | None:
    """Give the region's STS endpoint; None where the vendor's SDK knows of none."""
    return _endpoint("sts", region) if region in _STS_REGIONS else None


def regions() -> tuple[str, ...]:
    """List the regions that the table knows, sorted."""
    return tuple(sorted(_REGIONS))


def origin(endpoint: str) -> tuple[str, str]:
    """Split an endpoint into what comes before the path, and the Host header.

    ValueError, which does not repeat it, if it is more than scheme, host and port.
    """
    try:
        parts = urlsplit(endpoint)
        _ = parts.port  # raises for a port that is none
    except ValueError:
        raise ValueError(_RULE) from None
    plain = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        raise ValueError(_RULE)
    if endpoint.removesuffix("/") != plain or not plain.isascii():
        raise ValueError(_RULE)
    host = parts.netloc.lower()
    return f"{parts.scheme}://{host}", host.removesuffix(_DEFAULT_PORTS[parts.scheme])


def _endpoint(service: str, region: str) -> str:
    return f"https://{service}.{region}.{_DOMAINS.get(region, 'myhuaweicloud.com')}"
