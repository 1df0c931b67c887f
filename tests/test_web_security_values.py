"""Single values of a web-config file."""

from typing import Any

import pytest

from exporter.web.security.values import Wrong, duration, flag, header, password_hash, suites

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("100ms", 0.1),
        ("1.5s", 1.5),
        ("1m30s", 90),
        ("2h", 7200),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("1ns", 1e-9),
    ],
)
def test_durations_are_go_s(written: str, seconds: float) -> None:
    assert duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written", ["", "1", "s", "1d", "-1s", "1s ", "1 s", ["1s"], None, "1.2.3s"]
)
def test_what_is_no_duration_is_refused(written: Any) -> None:
    with pytest.raises(Wrong, match="must be a duration"):
        duration(written)


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "yes", "on", "y"])
def test_yaml_s_words_for_true(word: str) -> None:
    assert flag(word) is True


@pytest.mark.parametrize("word", ["false", "NO", "Off", "n"])
def test_yaml_s_words_for_false(word: str) -> None:
    assert flag(word) is False


@pytest.mark.parametrize("word", ["", "tRuE", "1", "maybe", [], {}])
def test_no_other_word_is_a_switch(word: Any) -> None:
    with pytest.raises(Wrong, match="true or false"):
        flag(word)


@pytest.mark.parametrize("kind", ["2a", "2b", "2x", "2y"])
def test_every_kind_of_bcrypt_is_a_hash(kind: str) -> None:
    assert password_hash(HASH.replace("2y", kind))


@pytest.mark.parametrize(
    "given",
    [
        "",
        "canary",
        HASH[:-1],
        HASH + "a",
        HASH.replace("2y", "2c"),
        HASH.replace("$10$", "$03$"),
        HASH.replace("$10$", "$32$"),
        HASH[:-1] + "!",
        HASH + "\n",
        [HASH],
    ],
)
def test_what_is_no_bcrypt_hash_is_refused_and_not_repeated(given: Any) -> None:
    with pytest.raises(Wrong, match="must be a bcrypt hash") as caught:
        password_hash(given)
    assert "canary" not in str(caught.value)


def test_a_header_has_one_of_the_values_or_one_line() -> None:
    assert header(("deny",))("deny") == "deny"
    assert header(())("default-src 'self'") == "default-src 'self'"
    for read, value in ((header(("deny",)), "DENY"), (header(()), "a\r\nb"), (header(()), ["a"])):
        with pytest.raises(Wrong):
            read(value)


def test_long_values_are_not_repeated() -> None:
    with pytest.raises(Wrong) as caught:
        suites(["canary-that-is-longer"])
    assert "canary" not in str(caught.value)
