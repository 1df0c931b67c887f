"""How long nobody's answer is borne."""

from exporter.terminal.silence import REFUSALS, Silence


def test_there_is_silence_only_after_a_failure() -> None:
    assert not Silence().too_long(1e9, 1)
    assert Silence().told("DLI", 1e9) == ""


def test_bad_luck_is_borne_for_the_whole_patience() -> None:
    silence = Silence().lasting(100, "connection").lasting(300, "server")
    assert not silence.too_long(699, 600)
    assert silence.too_long(700, 600)


def test_a_refusal_from_the_start_is_soon_believed() -> None:
    silence = Silence().lasting(100, "forbidden")
    assert not silence.too_long(119, 600)
    assert silence.too_long(120, 600)
    assert silence.too_long(105, 5)


def test_who_has_answered_before_may_refuse_for_a_while() -> None:
    silence = Silence().broken().lasting(100, "token")
    assert not silence.too_long(699, 600)
    assert silence.too_long(700, 600)


def test_each_answer_begins_anew() -> None:
    silence = Silence().lasting(100, "timeout").broken()
    assert not silence.too_long(1e9, 600)
    assert silence.lasting(1000, "timeout").since == 1000


def test_it_is_told_who_is_silent_since_when_and_why() -> None:
    silence = Silence().lasting(100, "forbidden")
    assert silence.told("DLI", 230) == "no good answer from DLI for 2m 10s: forbidden"
    assert Silence().lasting(100, "").told("DLI", 101) == "no good answer from DLI for 1s"


def test_mistakes_are_told_from_bad_luck() -> None:
    assert {"forbidden", "signature", "key_unknown", "endpoint", "tls"} <= REFUSALS
    assert REFUSALS.isdisjoint({"connection", "timeout", "server", "throttled", "not_found"})
