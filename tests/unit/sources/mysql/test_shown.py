"""What SHOW CREATE TABLE prints gives the same structure line by line as in one piece, whatever the text is."""

from __future__ import annotations

import random

import pytest

from cdc.sources.mysql.ddl import shown, tokens
from cdc.sources.mysql.ddl.grammar import MARIADB, MYSQL
from cdc.sources.mysql.ddl.shown import ShownTables
from cdc.sources.mysql.ddl.statements import read_shown
from cdc.sources.mysql.ddl.structure import Structures, TableStructure
from cdc.sources.mysql.ddl.tokens import Dialect, NotUnderstood

DIALECTS = (Dialect(MYSQL, 90400), Dialect(MYSQL, 50700), Dialect(MARIADB, 101100))

PLAIN = r"""CREATE TABLE `t1` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `name` varchar(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci DEFAULT 'it''s, or\nnot',
  `price` decimal(12,2) NOT NULL DEFAULT '0.00' COMMENT 'a # sign, and -- two',
  `kind` enum('a','b,c','it''s') COLLATE utf8mb4_bin DEFAULT NULL,
  `at` timestamp(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  `sum` int GENERATED ALWAYS AS ((`id` + 1)) VIRTUAL,
  `hidden` int DEFAULT '1' /*!80023 INVISIBLE */,
  `doc` json DEFAULT NULL,
  `flag` tinyint(1) DEFAULT (1),
  PRIMARY KEY (`id`),
  UNIQUE KEY `by_name` (`name`,`kind`),
  KEY `by_price` (`price` DESC,`name`(10)) USING BTREE,
  KEY `by_sum` ((`id` + 1)),
  FULLTEXT KEY `words` (`name`) /*!50100 WITH PARSER `ngram` */ ,
  CONSTRAINT `c` FOREIGN KEY (`id`) REFERENCES `other` (`id`) ON DELETE CASCADE,
  CONSTRAINT `positive` CHECK ((`price` > 0))
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci COMMENT='all, of it'
/*!50100 PARTITION BY RANGE (`id`)
(PARTITION p0 VALUES LESS THAN (10) ENGINE = InnoDB,
 PARTITION p1 VALUES LESS THAN MAXVALUE ENGINE = InnoDB) */"""
NO_KEY = """CREATE TABLE `t2` (
  `a` int(11) DEFAULT NULL,
  `b` text CHARACTER SET binary,
  `row_start` timestamp(6) GENERATED ALWAYS AS ROW START,
  `row_end` timestamp(6) GENERATED ALWAYS AS ROW END,
  `c` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT '{}' CHECK (json_valid(`c`)),
  PERIOD FOR SYSTEM_TIME (`row_start`, `row_end`),
  `d` year(4)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 WITH SYSTEM VERSIONING"""

PIECES = ("'", "`", '"', ",", ",\n", "\n", "(", ")", "\n)", ") ", "/*", "*/", "/*!50000 ", "/*M!100100 ", "-- ", "--",
          "#", ";", "\\", ".", " ", "_utf8mb4", "0x1F", "KEY", "PRIMARY KEY", "UNIQUE", "NOT NULL", "DEFAULT", "'a,b'",
          "  `x` int,\n", "  KEY `k` (`id`),\n", "  KEY `k` (`id`", "@", "COMMENT 'x\n,'", "``", "AFTER `id`", "FIRST")


def known(folds: bool = False) -> Structures:
    return Structures(database_charsets={"d": "latin1"}, folds=folds)


def outcome(read: object, *arguments: object) -> tuple[TableStructure, str] | None:
    try:
        return read(*arguments)  # type: ignore[operator, no-any-return]
    except NotUnderstood:
        return None


def whole(text: str, dialect: Dialect, structures: Structures) -> tuple[TableStructure, str] | None:
    return outcome(read_shown, text, "d", structures, dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", [PLAIN, NO_KEY])
def test_lines_give_what_the_whole_text_gives(text: str, dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = whole(text, dialect, known())
    assert expected is not None
    monkeypatch.setattr(shown, "read_shown", lambda *_: pytest.fail("it was not read by lines"))
    reader = ShownTables(known(), dialect)
    assert [reader.read(text, "d") for _ in range(2)] == [expected] * 2


def test_changed_text_gives_the_same_or_the_same_refusal() -> None:
    """The readers live on, so that what was kept of one text is used for the next."""
    chance = random.Random(5)
    readers = [ShownTables(known(), dialect) for dialect in DIALECTS]
    understood = 0
    for _ in range(1000):
        text = chance.choice((PLAIN, NO_KEY))
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(text))
            cut = chance.choice((0, 0, 1, 1, 7))
            text = text[:at] + chance.choice(("", *PIECES)) + text[at + cut:]
        number = chance.randrange(len(DIALECTS))
        expected = whole(text, DIALECTS[number], known())
        assert outcome(readers[number].read, text, "d") == expected, text
        understood += expected is not None
    assert understood > 100


def test_one_definition_is_read_once_for_all_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    def counted(text: str, dialect: Dialect) -> object:
        read.append(text)
        return tokens.tokenize(text, dialect)

    monkeypatch.setattr(shown, "tokenize", counted)
    reader = ShownTables(known(), DIALECTS[0])
    for number in range(5):
        text = PLAIN.replace("`t1`", f"`t{number}`").replace("`name` v", f"`name_{number}` v").replace(
            "(`name`", f"(`name_{number}`").replace("`name`(", f"`name_{number}`(")
        structure, statement = reader.read(text, "d")
        assert (structure.id.table, structure.columns[1].name) == (f"t{number}", f"name_{number}")
        assert f"`name_{number}` varchar" in statement
    assert sum("varchar(20)" in each for each in read) == 1


def test_names_fold_as_the_server_folds_them() -> None:
    text = PLAIN.replace("`t1`", "`Mixed`")
    assert ShownTables(known(folds=True), DIALECTS[0]).read(text, "D")[0].id.table == "mixed"


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "_MOST", 10)
    reader = ShownTables(known(), DIALECTS[0])
    for number in range(50):
        reader.read(f"CREATE TABLE `t` (\n  `id` int DEFAULT '{number}',\n  `long` enum('{'x' * 2000}')\n)"
                    " ENGINE=InnoDB", "d")
    assert len(reader._definitions) <= 10
    assert not any("xxx" in text for text, _ in reader._definitions)


def test_a_definition_that_is_kept_has_the_charset_of_each_table() -> None:
    reader = ShownTables(known(), DIALECTS[0])
    text = "CREATE TABLE `t` (\n  `name` text,\n  PRIMARY KEY (`name`(10))\n) ENGINE=InnoDB"
    for options, charset in ((" DEFAULT CHARSET=utf8mb4", "utf8mb4"), ("", "latin1"), (" CHARSET=utf8mb3", "utf8mb3")):
        structure, _ = reader.read(text + options, "d")
        assert (structure, text + options) == whole(text + options, DIALECTS[0], known())
        assert (structure.columns[0].charset, structure.key) == (charset, ("name",))
