"""What the platform's variables make of a project's credentials, and which provider is `auto`."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from exporter.settings import Duration, Project, Settings, SettingsError, load
from exporter.settings.model import OidcCredentials, PodIdentityCredentials, StaticCredentials

POD = {
    "HC_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.1.1/v1/keys",
    "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/var/run/pod/token",
}
BY_IAM = {
    "HUAWEICLOUD_SDK_IDP_ID": "kubernetes",
    "HUAWEICLOUD_SDK_ID_TOKEN_FILE": "/var/run/iam/token",
}
BY_STS = {
    "HUAWEICLOUD_OIDC_PROVIDER_URN": "iam::d:provider",
    "HUAWEICLOUD_OIDC_AGENCY_URN": "iam::d:agency",
    "HUAWEICLOUD_OIDC_TOKEN_FILE": "/var/run/sts/token",
}
KEYS = {"HUAWEICLOUD_SDK_AK": "vendor-ak", "HUAWEICLOUD_SDK_SK": "vendor-sk"}
AUTO = {"DLI_EXPORTER_PROJECTS__DEFAULT__CREDENTIALS__PROVIDER": "auto"}
REGION = {"HUAWEICLOUD_SDK_REGION": "ap-southeast-3"}


def from_environment(*environs: dict[str, str]) -> Project:
    """Read the settings of a pod without a file."""
    return load([], {name: value for each in environs for name, value in each.items()}).projects[
        "default"
    ]


def from_file(directory: Path, credentials: str, environ: dict[str, str]) -> Settings:
    file = directory / "dli.yaml"
    file.write_text(f"projects: {{prod: {{region: ap-southeast-3, credentials: {credentials}}}}}")
    return load([f"--config.file={file}"], environ)


@pytest.mark.parametrize(
    ("environs", "provider"),
    [
        ((POD, BY_STS, BY_IAM, KEYS), "pod_identity"),
        ((BY_STS, BY_IAM, KEYS), "oidc"),
        ((BY_IAM, KEYS), "oidc"),
        ((KEYS,), "static"),
        (({"HC_CONTAINER_CREDENTIALS_FULL_URI": "http://x/"}, KEYS), "static"),
        (({"HUAWEICLOUD_SDK_IDP_ID": "kubernetes"}, KEYS), "static"),
    ],
)
def test_auto_is_the_first_of_which_enough_is_known(
    environs: tuple[dict[str, str], ...], provider: str
) -> None:
    assert from_environment(REGION, AUTO, *environs).credentials.provider == provider


def test_auto_takes_files_before_the_variables_with_keys(tmp_path: Path) -> None:
    auto = "{provider: auto, directory: /run/secrets/dli}"
    assert from_file(tmp_path, auto, KEYS).projects["prod"].credentials.provider == "file"
    chosen = from_file(tmp_path, auto, POD).projects["prod"].credentials
    assert chosen.provider == "pod_identity"  # and the directory is no mistake


def test_auto_never_is_the_metadata_service() -> None:
    with pytest.raises(SettingsError, match="auto found nothing"):
        from_environment(REGION, AUTO)


def test_auto_takes_what_is_set_beside_it(tmp_path: Path) -> None:
    auto = "{provider: auto, idp_id: mine, token_file: /t}"
    chosen = from_file(tmp_path, auto, {**KEYS, **BY_STS}).projects["prod"].credentials
    assert isinstance(chosen, OidcCredentials)
    assert (chosen.idp_id, str(chosen.token_file), chosen.provider_urn) == ("mine", "/t", None)


def test_auto_sends_no_token_of_another_provider_to_pod_identity(tmp_path: Path) -> None:
    auto = "{provider: auto, idp_id: mine, token_file: /t}"
    chosen = from_file(tmp_path, auto, POD).projects["prod"].credentials
    assert chosen.model_dump(include={"provider", "idp_id"}) == {
        "provider": "oidc",
        "idp_id": "mine",
    }
    with pytest.raises(SettingsError, match="auto found nothing"):
        from_file(tmp_path, "{provider: auto, token_file: /t}", POD)


def test_auto_does_not_mix_keys(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="auto found nothing"):
        from_file(tmp_path, "{provider: auto, ak: mine}", KEYS)
    auto = "{provider: auto, ak: mine, sk: my-secret}"
    chosen = from_file(tmp_path, auto, KEYS).projects["prod"].credentials
    assert isinstance(chosen, StaticCredentials)
    assert chosen.ak.get_secret_value() == "mine"


def test_a_wrong_name_beside_auto_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"credentials\..*: unknown setting"):
        from_file(tmp_path, "{provider: auto, directroy: /run}", KEYS)


def test_pod_identity_comes_from_the_variables_of_cce() -> None:
    provider = {"DLI_EXPORTER_PROJECTS__DEFAULT__CREDENTIALS__PROVIDER": "pod_identity"}
    chosen = from_environment(REGION, provider, POD, KEYS).credentials
    assert isinstance(chosen, PodIdentityCredentials)
    assert chosen.uri == "http://169.254.1.1/v1/keys"
    assert chosen.token_file == Path("/var/run/pod/token")


def test_every_project_gets_the_platforms_variables_unless_it_has_its_own(tmp_path: Path) -> None:
    file = tmp_path / "dli.yaml"
    file.write_text(
        """
projects:
  one: {region: ap-southeast-3, credentials: {provider: oidc, agency_urn: "iam::d:other"}}
  two: {region: cn-north-4, credentials: {provider: oidc}}
  three: {region: cn-north-4, credentials: {provider: oidc, idp_id: mine}}
"""
    )
    projects = load([f"--config.file={file}"], {**BY_STS, **BY_IAM}).projects
    one, two, three = (projects[name].credentials for name in ("one", "two", "three"))
    assert isinstance(one, OidcCredentials)
    assert isinstance(two, OidcCredentials)
    assert isinstance(three, OidcCredentials)
    assert (one.agency_urn, one.provider_urn) == ("iam::d:other", "iam::d:provider")
    assert two.agency_urn == "iam::d:agency"
    assert (three.idp_id, three.agency_urn) == ("mine", None)
    assert three.token_file == Path("/var/run/iam/token")


def test_everything_about_sts_may_come_from_the_vendors_variables() -> None:
    more = {
        "HUAWEICLOUD_OIDC_ID_TOKEN": "an-id-token",
        "HUAWEICLOUD_OIDC_SESSION_NAME": "me",
        "HUAWEICLOUD_OIDC_DURATION_SECONDS": "1800",
        "HUAWEICLOUD_OIDC_POLICY": '{"Version": "5.0"}',
        "HUAWEICLOUD_OIDC_POLICY_IDS": "p1,p2",
        "HUAWEICLOUD_SDK_STS_ENDPOINT": "https://sts.example.com",
    }
    chosen = from_environment(REGION, AUTO, BY_STS, more).credentials
    assert isinstance(chosen, OidcCredentials)
    assert chosen.id_token is not None  # which goes before its file, as in the vendor's SDK
    assert chosen.id_token.get_secret_value() == "an-id-token"
    assert chosen.token_file is None
    assert (chosen.session_name, chosen.duration) == ("me", Duration("30m"))
    assert (chosen.policy, chosen.policy_ids) == ('{"Version": "5.0"}', ("p1", "p2"))
    assert chosen.sts_endpoint == "https://sts.example.com"


@pytest.mark.parametrize("token", ["token_file: /mine", "id_token: mine"])
def test_a_token_that_is_set_goes_before_the_variables(token: str, tmp_path: Path) -> None:
    environ = {**BY_STS, "HUAWEICLOUD_OIDC_ID_TOKEN": "theirs"}
    chosen = from_file(tmp_path, f"{{provider: oidc, {token}}}", environ).projects["prod"]
    assert isinstance(chosen.credentials, OidcCredentials)
    own = chosen.credentials.id_token
    assert (own.get_secret_value() if own else str(chosen.credentials.token_file)).endswith("mine")


def test_the_region_gives_iams_address_and_a_variable_another_one() -> None:
    assert from_environment(REGION, KEYS).iam_endpoint == (
        "https://iam.ap-southeast-3.myhuaweicloud.com"
    )
    other = {"HUAWEICLOUD_SDK_IAM_ENDPOINT": "https://iam.example.com"}
    assert from_environment(REGION, KEYS, other).iam_endpoint == "https://iam.example.com"


def test_the_european_cloud_has_its_own_iam() -> None:
    project = from_environment({"HUAWEICLOUD_SDK_REGION": "eu-west-101"}, KEYS)
    assert project.endpoint == "https://dli.eu-west-101.myhuaweicloud.eu"
    assert project.iam_endpoint == "https://iam.eu-west-101.myhuaweicloud.eu"


def test_a_region_is_enough_to_find_the_project() -> None:
    assert from_environment(REGION, KEYS).project_id is None


def test_a_project_of_a_private_endpoint_needs_no_iam() -> None:
    given = {
        "endpoint": "https://dli.example.com",
        "project_id": "p",
        "credentials": {"provider": "file", "directory": "/run"},
    }
    project = Settings.model_validate({"projects": {"p": given}}).projects["p"]
    assert project.iam_endpoint is None


@pytest.mark.parametrize(
    ("uri", "read"),
    [
        ("http://169.254.1.1/v1/keys", "http://169.254.1.1/v1/keys"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://10.247.0.9/", "http://10.247.0.9/"),
        ("http://[fd00::1]:80/keys", "http://[fd00::1]:80/keys"),
        ("http://pod-identity.kube-system.svc/keys", "http://pod-identity.kube-system.svc/keys"),
        ("https://Keys.example.com/v1/Keys", "https://keys.example.com/v1/Keys"),
        ("http://keys.example.com/", None),
        ("http://8.8.8.8/", None),
        ("http://[2001:4860:4860::8888]/", None),
        ("ftp://10.0.0.1/", None),
        ("https://a@example.com/", None),
        ("https://example.com/keys?a=b", None),
        ("https://example.com/ke ys", None),
        ("https://example.com/#a", None),
        ("", None),
    ],
)
def test_keys_are_asked_for_in_clear_inside_a_node_or_cluster_only(
    uri: str, read: str | None
) -> None:
    keys = {"provider": "pod_identity", "uri": uri, "token_file": "/t"}
    given = {"projects": {"p": {"region": "ap-southeast-3", "credentials": keys}}}
    if read is None:
        with pytest.raises(ValidationError, match="must b"):
            Settings.model_validate(given)
    else:
        chosen = Settings.model_validate(given).projects["p"].credentials
        assert isinstance(chosen, PodIdentityCredentials)
        assert chosen.uri == read


def test_no_secret_is_shown() -> None:
    chosen = {
        "provider": "password",
        "domain": "d",
        "username": "u",
        "password": "canary-canary",
    }
    given = {"region": "ap-southeast-3", "credentials": chosen}
    shown = repr(Settings.model_validate({"projects": {"p": given}}))
    assert "canary" not in shown
