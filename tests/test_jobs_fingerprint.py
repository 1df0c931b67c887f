"""Which statements are one statement run again."""

import pytest

from exporter.jobs.fingerprint import fingerprint

QUEUE = "etl"
MEGABYTE = 1_000_000


def same(first: str, second: str) -> bool:
    return fingerprint(first, QUEUE) == fingerprint(second, QUEUE)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("SELECT a FROM t", "select  A\n\tfrom T ;", id="case and whitespace"),
        pytest.param("SELECT 1", "SELECT 27", id="numbers"),
        pytest.param("SELECT 1.5e-3D, x", "SELECT .25BD, x", id="decimals and suffixes"),
        pytest.param("WHERE a > -5", "WHERE a > + 5", id="signs"),
        pytest.param("WHERE a = 'x'", "WHERE a = 'it''s; -- \\' no'", id="quotes in strings"),
        pytest.param('WHERE a = "x"', "WHERE a = 'y'", id="either kind of string"),
        pytest.param(r"WHERE a RLIKE r'\d'", "WHERE a RLIKE r'\\'", id="raw strings"),
        pytest.param("WHERE a = X'1F'", "WHERE a = X'2E'", id="binary strings"),
        pytest.param("d = DATE '2026-11-01'", "d = DATE'2026-11-02'", id="dates"),
        pytest.param("d < timestamp_ntz '2026'", "d < TIMESTAMP '2027'", id="timestamps"),
        pytest.param("d + INTERVAL 1 DAY", "d + INTERVAL '2' DAY", id="intervals"),
        pytest.param("SET a = NULL", "SET a = true", id="words that are literals"),
        pytest.param("a IN (1)", "a IN (1, 2,\n3, 4)", id="lists of any length"),
        pytest.param("a IN ('x')", "a IN ('x', /* no */ 'y' -- yes\n, NULL)", id="mixed lists"),
        pytest.param("SELECT a -- note\nFROM t", "SELECT a FROM t", id="line comments"),
        pytest.param("SELECT a /* x /* y */ z */ FROM t", "SELECT a FROM t", id="nested comments"),
        pytest.param("SELECT a FROM t -- the end", "SELECT a FROM t", id="comment at the end"),
        pytest.param("SELECT a /* never closed", "SELECT a", id="comment cut"),
        pytest.param("WHERE a = 'never closed", "WHERE a = 'x'", id="string cut"),
        pytest.param("FROM `t`", "FROM t", id="quoted names"),
        pytest.param("FROM t_20261101", "FROM t_20261102", id="date in a name"),
        pytest.param("FROM db.t_2026_11_01_v2", "FROM db.T_2026_12_31_V2", id="date in parts"),
        pytest.param("FROM `t-2026-11-01`", "FROM `t-2026-11-02`", id="date in a quoted name"),
        pytest.param("FROM tmp_1793491200", "FROM tmp_1793494800", id="time in a name"),
        pytest.param(
            "FROM tmp_85798b38_ae44_48eb_bb90_7cf0dcdafe7b",
            "FROM tmp_00c1d2e3f4a54b6c8d7e9f0a1b2c3d4e",
            id="UUID in a name",
        ),
        pytest.param(
            "INSERT INTO t VALUES (1, 'a)')",
            "INSERT INTO t VALUES (2, upper('b')), (NULL, (SELECT 3)),\n(4, current_date())",
            id="rows of values",
        ),
    ],
)
def test_what_varies_from_run_to_run_makes_no_difference(first: str, second: str) -> None:
    assert same(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("SELECT a FROM t", "SELECT b FROM t", id="column"),
        pytest.param("SELECT a FROM t1", "SELECT a FROM t2", id="short number in a name"),
        pytest.param("SELECT a FROM t", "SELECT a, 1 FROM t", id="one column more"),
        pytest.param("SELECT a, 1", "SELECT a 1", id="comma before a literal"),
        pytest.param("SELECT 1, a", "SELECT 1 a", id="comma after a literal"),
        pytest.param("SELECT ab", "SELECT a b", id="two words"),
        pytest.param("SELECT /*+ BROADCAST(a) */ a", "SELECT a", id="hints"),
        pytest.param("WHERE a = 1", "WHERE a < 1", id="operators"),
        pytest.param(
            "INSERT INTO t VALUES (1)", "INSERT OVERWRITE t VALUES (1)", id="before the rows"
        ),
        pytest.param("SELECT * FROM VALUES (1) AS a", "SELECT * FROM VALUES (1) AS b", id="after"),
    ],
)
def test_another_statement_differs(first: str, second: str) -> None:
    assert not same(first, second)


def test_another_queue_is_another_statement() -> None:
    assert fingerprint("SELECT 1", "a") != fingerprint("SELECT 1", "b")
    assert fingerprint("a", "") != fingerprint("", "a")


def test_the_statement_cannot_be_read_from_it() -> None:
    mark = fingerprint("SELECT canary FROM canary", QUEUE)
    assert len(mark) == 32
    assert int(mark, 16)


def test_text_that_is_no_unicode_is_taken() -> None:
    assert same("SELECT '\ud800'", "SELECT '\udfff'")
    assert not same("SELECT a\ud800", "SELECT a")


@pytest.mark.parametrize(
    "piece",
    [
        *("'", '"', "`", "/*", "/**/", "-", "- ", "-\n", "--", "--\\\n", "r'", "\\", "'\\"),
        *("1", "1 ", "1,", "1 , ", "1 ,-- \n", "1e", "1.", ".", "a_1", "1234_1", "abcdef01_"),
        *("(", "VALUES(", "date ", "x'", "null ", "/*+", ";", " ", "\0", "é", "😀"),
    ],
)
def test_hostile_text_takes_time_in_proportion(piece: str) -> None:
    """A pattern that reads on and on would take hours for a megabyte."""
    assert fingerprint(piece * (MEGABYTE // len(piece)), QUEUE)
