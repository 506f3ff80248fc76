"""Statements on structures are understood, or harmless, or lead to reading the table again; none is ever an error."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from cdc.core.table import TableId
from cdc.sources.mysql import schema_changes
from cdc.sources.mysql.ddl import schema_change_text
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.grammar import MARIADB
from cdc.sources.mysql.ddl.structure import ColumnDef, Structures, TableStructure
from cdc.sources.mysql.ddl.tokens import Dialect, NotUnderstood, Token, scan, tokenize

SCENARIO = Path(__file__).parents[3] / "integration" / "scenarios" / "mysql_ddl.txt"


def shape(table: TableStructure) -> str:
    return (", ".join(column_shape(column) for column in table.columns) + " | " + ", ".join(table.key)).rstrip()


def column_shape(column: ColumnDef) -> str:
    numbers = [str(number) for number in (column.length, column.scale) if number is not None]
    return "".join((
        f"{column.name} {column.type_name}", f"({','.join(numbers)})" if numbers else "",
        f" {column.charset}" if column.charset not in (None, "utf8mb4") else "", "" if column.nullable else " !",
        f" ={column.default}" if column.default is not None else "",
    ))


def steps() -> list[tuple[str, list[str]]]:
    """Statement and what is expected after it."""
    found: list[tuple[str, list[str]]] = []
    for line in SCENARIO.read_text(encoding="utf-8").splitlines():
        if line.startswith(">"):
            found.append((line.partition(" ")[2], []))
        elif line.strip() and found:
            found[-1][1].append(line)
    return found


def structures() -> Structures:
    return Structures(database_charsets={"d": "utf8mb4"})


def seen(known: Structures) -> dict[str, str]:
    return {str(table.id): shape(table) for table in known}


def test_everyday_statements_give_the_right_structures() -> None:
    known = structures()
    assert len(steps()) >= 60
    for statement, expected in steps():
        before = seen(known)
        outcome = ddl.apply(statement, "d", known)
        after = seen(known)
        got = [f"{name}: {after[name]}" for name in sorted(after) if before.get(name) != after[name]]
        got += [f"- {name}" for name in sorted(before) if name not in after]
        got += [f"? {id}" for id in outcome.reread] + [f"! {id}" for id in outcome.truncated]
        assert got == expected, statement


def create(text: str) -> TableStructure:
    return ddl.read_create(text, "d", structures())


def altered(actions: str, table: str = "CREATE TABLE t (id int PRIMARY KEY, a int)") -> tuple[ddl.Outcome, Structures]:
    known = structures()
    known.put(create(table))
    return ddl.apply(f"ALTER TABLE t {actions}", "d", known), known


# -- what is not understood ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actions", [
    "DROP SYSTEM VERSIONING", "ADD PERIOD FOR SYSTEM_TIME (x, y)",
    "FROBNICATE COLUMN a", "MODIFY missing int",
    "DROP COLUMN missing", "ADD COLUMN A bigint", "RENAME COLUMN a TO id",
    "ADD COLUMN b enum('x'", "ALTER COLUMN a SET OPTIONS",
    "ADD b int AFTER missing", "RENAME COLUMN missing TO b", "ADD PRIMARY KEY (missing)", "'text'",
])
def test_what_is_not_understood_leads_to_reading_the_table_again(actions: str) -> None:
    outcome, known = altered(actions)
    assert outcome.reread == (TableId("d", "", "t"),)
    assert outcome.reason
    assert len(known) == 0, "a structure that may be wrong is not kept"
    change = outcome.changes[0].change
    assert change is not None
    assert change.type == "ALTER"


@pytest.mark.parametrize("unknown", ["SPARKLING", "SPARKLING (1, (2))", "SPARKLING 'x' NOT FADING"])
def test_an_attribute_that_is_not_understood_leaves_the_structure_known(unknown: str) -> None:
    """The rows' table map tells whether it made a difference."""
    outcome, known = altered(f"ADD COLUMN b int {unknown} DEFAULT 3, ADD COLUMN c bigint")
    assert outcome.reread == ()
    assert seen(known) == {"d.t": "id INT !, a INT, b INT =3, c BIGINT | id"}


QUALIFIED = [
    ("MODIFY COLUMN t.a BIGINT", "id INT !, a BIGINT | id"),
    ("MODIFY d.t.a BIGINT", "id INT !, a BIGINT | id"),
    ("MODIFY .a BIGINT", "id INT !, a BIGINT | id"),
    ("CHANGE COLUMN t.a b BIGINT FIRST", "b BIGINT, id INT ! | id"),
    ("CHANGE `t`.`a` `t`.`b` BIGINT", "id INT !, b BIGINT | id"),
    ("ADD COLUMN t.b int AFTER id", "id INT !, b INT, a INT | id"),
    ("ADD (t.b int, d.t.c int)", "id INT !, a INT, b INT, c INT | id"),
    ("DROP COLUMN t.a", "id INT ! | id"),
    ("RENAME COLUMN a TO b, ALTER COLUMN t.a SET DEFAULT 4", "id INT !, b INT =4 | id"),
]


@pytest.mark.parametrize(("actions", "wanted"), QUALIFIED)
def test_columns_may_be_qualified_by_their_table(actions: str, wanted: str) -> None:
    """MariaDB's grammar allows it wherever a column is named."""
    outcome, known = altered(actions)
    assert outcome.reread == ()
    assert seen(known) == {"d.t": wanted}


def test_columns_of_a_new_table_may_be_qualified() -> None:
    assert shape(create("CREATE TABLE t (t.id int, d.t.a int, `t`.`b` int, PRIMARY KEY (id))")) == (
        "id INT !, a INT, b INT | id")


ORACLE = Dialect(MARIADB).under(0x200 | 0x4)
ORACLE_TYPES = [
    ("NUMBER(9)", "DECIMAL(9,0)"), ("NUMBER(12,3)", "DECIMAL(12,3)"), ("NUMBER", "DOUBLE"), ("RAW(8)", "VARBINARY(8)"),
    ("VARCHAR2(20)", "VARCHAR(20)"), ("VARCHAR2(20 CHAR)", "VARCHAR(20)"), ("CLOB", "LONGTEXT"), ("BLOB", "LONGBLOB"),
    ("DATE", "DATETIME"), ("mariadb_schema.DATE", "DATE"), ("mariadb_schema.BLOB", "BLOB"), ("INT", "INT"),
    ("NUMBER(5) DEFAULT 7 NOT NULL", "DECIMAL(5,0) ! =7"),
]


@pytest.mark.parametrize(("type_", "wanted"), ORACLE_TYPES)
def test_types_under_sql_mode_oracle(type_: str, wanted: str) -> None:
    known = structures()
    ddl.apply('CREATE TABLE "t" ("id" INT)', "d", known, ORACLE)
    assert ddl.apply(f"ALTER TABLE t ADD (n {type_})", "d", known, ORACLE).reread == ()
    assert seen(known) == {"d.t": f"id INT, n {wanted} | ".rstrip()}


def test_types_of_another_mode_by_their_qualifier() -> None:
    found = ddl.read_create("CREATE TABLE t (a oracle_schema.DATE, b maxdb_schema.TIMESTAMP, c DATE)", "d",
                            structures(), Dialect(MARIADB))
    assert shape(found) == "a DATETIME, b DATETIME, c DATE |"


def test_only_mariadb_has_these_modes() -> None:
    known = structures()
    ddl.apply("CREATE TABLE t (a DATE)", "d", known, Dialect().under(0x200))
    ddl.apply("CREATE TABLE u (a TIMESTAMP)", "d", known, Dialect(MARIADB).under(0x1000))
    assert seen(known) == {"d.t": "a DATE |", "d.u": "a DATETIME |"}


def test_a_database_inherits_the_sessions_charset() -> None:
    """And not the one that the server had when we asked."""
    known = structures()
    ddl.apply("CREATE DATABASE e", "d", known, session_charset="latin1")
    ddl.apply("CREATE DATABASE f CHARACTER SET greek", "d", known, session_charset="latin1")
    ddl.apply("CREATE DATABASE g", "d", known)
    for name in "efg":
        ddl.apply("CREATE TABLE t (a text)", name, known)
    assert seen(known) == {"e.t": "a TEXT latin1 |", "f.t": "a TEXT greek |", "g.t": "a TEXT |"}


def test_a_database_that_is_replaced_loses_its_tables_and_charset() -> None:
    known = structures()
    ddl.apply("CREATE DATABASE e CHARACTER SET greek", "d", known)
    ddl.apply("CREATE TABLE t (a text)", "e", known)
    ddl.apply("CREATE OR REPLACE DATABASE e", "d", known)
    assert seen(known) == {}
    ddl.apply("CREATE TABLE t (a text)", "e", known)
    assert seen(known) == {"e.t": "a TEXT |"}


def test_a_renamed_table_is_read_again_under_its_new_name() -> None:
    outcome, known = altered("RENAME TO u, FROBNICATE")
    assert outcome.reread == (TableId("d", "", "u"),)
    assert len(known) == 0


def test_a_table_that_was_not_known_is_read_when_it_changes() -> None:
    known = structures()
    assert ddl.apply("ALTER TABLE x ADD c int", "d", known).reread == (TableId("d", "", "x"),)
    assert ddl.apply("RENAME TABLE y TO z", "d", known).reread == (TableId("d", "", "z"),)
    assert ddl.apply("CREATE TABLE l LIKE nobody", "d", known).reread == (TableId("d", "", "l"),)


def test_records_wait_for_what_is_read_again() -> None:
    outcome, known = altered("FROBNICATE")
    table = create("CREATE TABLE t (id int PRIMARY KEY, fresh int)")
    known.put(table)
    change = ddl.complete(outcome, known)[0].change
    assert change is not None
    assert change.structure == table


def test_a_reason_repeats_no_values() -> None:
    outcome, _ = altered("ADD COLUMN b int DEFAULT 'secret' 'more' SPARKLING 'secret'")
    assert "secret" not in outcome.reason


def test_no_text_is_an_error() -> None:
    """Every truncation of every statement, and every one with a token left out or doubled."""
    chance = random.Random(4)
    for statement, _ in steps():
        tokens = tokenize(statement)
        texts = [statement[:end] for end in range(len(statement))]
        for _ in range(5):
            one = chance.choice(tokens)
            texts.append(statement[:one.start] + statement[one.end:])
            texts.append(statement[:one.end] + " " + statement[one.start:])
        for text in texts:
            known = structures()
            known.put(create("CREATE TABLE t (id int PRIMARY KEY, a int, label text)"))
            ddl.apply(text, "d", known)


@pytest.mark.parametrize("text", ["", ";", "/* nothing */", "# Dummy event replacing event type 160", "'x'", "\x00"])
def test_what_is_no_statement_does_nothing(text: str) -> None:
    assert ddl.apply(text, "d", structures()).changes == ()


# -- kinds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "kind"), [
    ("BEGIN", "begin"), ("begin /* x */", "begin"), ("START TRANSACTION", "begin"), ("COMMIT", "commit"),
    ("COMMIT /* implicit, from Xid_log_event */", "commit"), ("ROLLBACK", "rollback"),
    ("ROLLBACK TO `s`", "savepoint"), ("ROLLBACK TO SAVEPOINT s", "savepoint"), ("SAVEPOINT `s`", "savepoint"),
    ("RELEASE SAVEPOINT s", "savepoint"), ("XA START X'61',X'',1", "xa"), ("XA COMMIT X'61'", "xa"),
    ("INSERT INTO t VALUES (1)", "dml"), ("/* app */ update t set a = 1", "dml"), ("DELETE FROM t", "dml"),
    ("REPLACE INTO t VALUES (1)", "dml"), ("LOAD DATA INFILE 'x' INTO TABLE t", "dml"),
    ("WITH x AS (SELECT 1) DELETE FROM t", "dml"),
    ("SET STATEMENT max_statement_time=1 FOR INSERT INTO t VALUES (1)", "dml"),
    ("GRANT SELECT ON d.* TO u", "other"), ("CREATE USER u", "other"), ("DROP ROLE r", "other"),
    ("CREATE DEFINER=`a`@`%` SQL SECURITY DEFINER VIEW v AS SELECT 1", "other"),
    ("CREATE OR REPLACE ALGORITHM=MERGE VIEW v AS SELECT 1", "other"),
    ("SET STATEMENT a=1,b=2,c=3,d=4 FOR CREATE USER u IDENTIFIED BY 'x'", "other"),
    ("ALTER DEFINER=`a`@`%` EVENT e DISABLE", "ddl"), ("ALTER USER u ACCOUNT LOCK", "other"),
    ("CREATE FUNCTION f() RETURNS INT RETURN 1", "other"), ("FLUSH RELAY LOGS", "other"),
    ("DROP TEMPORARY TABLE IF EXISTS `d`.`x` /* generated by server */", "other"),
    ("ANALYZE NO_WRITE_TO_BINLOG TABLE t", "other"), ("ALTER TABLE t ENGINE=InnoDB", "ddl"),
    ("SET STATEMENT max_statement_time=1 FOR ALTER TABLE t ENGINE=InnoDB", "ddl"),
])
def test_kinds_are_told_apart(text: str, kind: str) -> None:
    assert ddl.apply(text, "d", structures()).kind == kind


@pytest.mark.parametrize(("text", "filled"), [
    ("CREATE TABLE n AS SELECT 1 AS id", ["d.n"]),
    ("CREATE TABLE n (id int) IGNORE SELECT * FROM other", ["d.n"]),
    ("CREATE OR REPLACE TABLE n (SELECT 1 AS id)", ["d.n"]),
    ("CREATE TABLE n AS TABLE other", ["d.n"]), ("CREATE TABLE n AS VALUES ROW(1)", ["d.n"]),
    ("CREATE TABLE n LIKE other", []), ("CREATE TABLE n (`select` int, v char(9) COMMENT 'SELECT')", []),
    ("CREATE TABLE n (id int) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (1))", []),
    ("CREATE TABLE n (id int) START TRANSACTION", []),
])
def test_a_table_made_of_a_query_has_rows_that_the_log_lacks(text: str, filled: list[str]) -> None:
    assert [str(id) for id in ddl.apply(text, "d", structures()).filled] == filled


@pytest.mark.parametrize(("text", "targets"), [
    ("INSERT IGNORE INTO a VALUES (1)", ["d.a"]), ("REPLACE other.b SET x = 1", ["other.b"]),
    ("UPDATE LOW_PRIORITY a AS x SET c = 1", ["d.a"]), ("DELETE FROM a WHERE c", ["d.a"]),
    ("UPDATE a, b SET a.c = b.c", []), ("UPDATE a JOIN b SET a.c = 1", []), ("DELETE a FROM a JOIN b", []),
    ("LOAD DATA INFILE 'x' INTO TABLE a", []), ("INSERT 'x'", []),
])
def test_statements_on_rows_say_which_table_they_write_to(text: str, targets: list[str]) -> None:
    assert [str(id) for id in ddl.apply(text, "d", structures()).targets] == targets


@pytest.mark.parametrize(("text", "database"), [
    ("INSERT INTO mysql.rds_heartbeat2(id, value) values (1,2) ON DUPLICATE KEY UPDATE value = 2", "d"),
    ("DELETE FROM rds_sysinfo where name = 'innodb_txn_key'", "mysql"),
])
def test_statements_on_the_servers_own_rows_are_harmless(text: str, database: str) -> None:
    assert ddl.apply(text, database, structures()).kind == "other"


@pytest.mark.parametrize("text", ["CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DROP TABLE t", "CREATE INDEX i ON t (a)"])
def test_what_touches_no_structure_is_told_as_it_is(text: str) -> None:
    outcome = ddl.apply(text, "d", structures())
    assert [(each.ddl, each.database, each.change) for each in outcome.changes] == [(text, "d", None)]
    assert outcome.reread == ()


# -- records ---------------------------------------------------------------------------------------------------------


def ddls(text: str, *tables: str) -> list[str]:
    known = structures()
    for table in tables:
        known.put(create(f"CREATE TABLE {table} (id int PRIMARY KEY)"))
    return [each.ddl for each in ddl.apply(text, "d", known).changes]


def test_several_tables_dropped_at_once_are_as_many_records() -> None:
    assert ddls("DROP TABLE IF EXISTS `a`, other.b CASCADE /* generated by server */", "a") == [
        "DROP TABLE IF EXISTS `d`.`a` CASCADE", "DROP TABLE IF EXISTS `other`.`b` CASCADE"]


def test_several_tables_renamed_at_once_are_as_many_records() -> None:
    assert ddls("RENAME TABLE a TO b, `c` TO other.`e f`", "a", "c") == [
        "RENAME TABLE a TO b", "RENAME TABLE `c` TO other.`e f`"]


def test_a_renamed_table_remembers_its_name() -> None:
    known = structures()
    known.put(create("CREATE TABLE a (id int PRIMARY KEY)"))
    change = ddl.apply("RENAME TABLE a TO b", "d", known).changes[0].change
    assert change is not None
    assert (change.type, change.id.table, change.previous_id) == ("ALTER", "b", TableId("d", "", "a"))


def test_a_unique_index_is_a_change_of_the_table_and_may_become_its_key() -> None:
    known = structures()
    known.put(create("CREATE TABLE t (a int NOT NULL, b int NOT NULL)"))
    for column in "ab":
        change, = ddl.apply(f"CREATE UNIQUE INDEX {column} ON t ({column})", "d", known).changes
        assert change.change is not None
        assert (change.ddl, change.whole) == (f"UNIQUE INDEX {column} ON t ({column})", f"CREATE {change.ddl}")
    assert next(iter(known)).key == ("a",)


def test_tables_that_are_swapped_have_what_the_whole_statement_left() -> None:
    known = structures()
    known.put(create("CREATE TABLE a (x int)"))
    known.put(create("CREATE TABLE b (y int)"))
    changes = ddl.complete(ddl.apply("RENAME TABLE a TO t, b TO a, t TO b", "d", known), known)
    found = [each.change.structure for each in changes if each.change is not None]
    assert [table and [column.name for column in table.columns] for table in found] == [None, ["y"], ["x"]]
    assert {schema_changes.touched(each, changes) for each in changes} == {"a,b,t"}


def test_the_statement_is_repeated_without_comments_around_it() -> None:
    assert ddls("/* a */ ALTER TABLE t /* b */ ADD c int; # d", "t") == ["ALTER TABLE t /* b */ ADD c int"]


def test_a_table_in_another_database_belongs_to_that_one() -> None:
    known = structures()
    outcome = ddl.apply("CREATE TABLE other.t (a int)", "d", known)
    assert outcome.changes[0].database == "other"


# -- details ---------------------------------------------------------------------------------------------------------


def column(definition: str) -> ColumnDef:
    return create(f"CREATE TABLE t (c {definition})").columns[0]


@pytest.mark.parametrize(("definition", "default"), [
    ("int DEFAULT -5", "-5"), ("int DEFAULT +5", "+5"), ("int DEFAULT NULL", None), ("int", None),
    ("varchar(9) DEFAULT 'a''b\\n'", "a''b\\n"), ("varchar(9) DEFAULT _utf8mb4'x'", "x"),
    ("varchar(9) DEFAULT N'x'", "x"), ("bit(3) DEFAULT b'101'", "101"), ("bit(3) DEFAULT 0b101", "10"),
    ("varbinary(3) DEFAULT x'0aff'", "0aff"), ("varbinary(3) DEFAULT 0x0aff", "0af"), ("bool DEFAULT true", "true"),
    ("timestamp DEFAULT CURRENT_TIMESTAMP", "1970-01-01 00:00:00"),
    ("timestamp(6) DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6)", "1970-01-01 00:00:00"),
    ("datetime DEFAULT LOCALTIMESTAMP", "1970-01-01 00:00:00"), ("date DEFAULT DATE '2020-01-02'", "2020-01-02"),
    ("int DEFAULT (1 + 2) NOT NULL", None), ("char(36) DEFAULT uuid() NOT NULL", None),
    ("int DEFAULT nextval(`d`.`s`)", None), ("decimal(5,2) DEFAULT 1.5e1", "1.5e1"), ("int DEFAULT 1 + 2", None),
])
def test_defaults(definition: str, default: str | None) -> None:
    assert column(definition).default == default
    assert column(definition).nullable is ("NOT NULL" not in definition)


@pytest.mark.parametrize(("definition", "type_name"), [
    ("int(11) unsigned zerofill", "INT UNSIGNED ZEROFILL"), ("INTEGER SIGNED", "INTEGER SIGNED"),
    ("int zerofill", "INT UNSIGNED ZEROFILL"), ("character varying(5)", "CHARACTER VARYING"),
    ("double precision unsigned", "DOUBLE PRECISION UNSIGNED"), ("varchar(5) binary", "VARCHAR BINARY"),
    ("char(5) byte", "BINARY"), ("text character set binary", "BLOB"), ("national character(3)", "NATIONAL CHARACTER"),
    ("vector(3)", "VECTOR"), ("uuid", "UUID"), ("inet6", "INET6"), ("long", "LONG"), ("point srid 4326", "POINT"),
])
def test_type_names(definition: str, type_name: str) -> None:
    assert column(definition).type_name == type_name


def test_a_type_without_its_modifiers() -> None:
    assert column("int unsigned zerofill").base == "INT"
    assert column("binary(3)").base == "BINARY"
    assert column("char(3) binary").base == "CHAR"
    assert (column("int unsigned").unsigned, column("serial").unsigned, column("int").unsigned) == (True, True, False)


def test_labels_are_unescaped_and_trimmed() -> None:
    assert column(r"enum('a''b','c\'d','e\\f','g  ','h,i','')").enum_values == ("a'b", "c'd", "e\\f", "g", "h,i", "")


def test_charsets_come_from_the_column_the_collation_the_table_or_the_database() -> None:
    known = Structures(database_charsets={"d": "latin2"}, server_charset="latin1")
    text = "CREATE TABLE {} (a text, b text CHARACTER SET ucs2, c text COLLATE gbk_bin, d int, e text ASCII){}"
    table = ddl.read_create(text.format("t", ""), "d", known)
    assert [each.charset for each in table.columns] == ["latin2", "ucs2", "gbk", None, "latin1"]
    table = ddl.read_create(text.format("t", " COLLATE=utf8mb4_bin"), "d", known)
    assert [each.charset for each in table.columns] == ["utf8mb4", "ucs2", "gbk", None, "latin1"]
    assert ddl.read_create("CREATE TABLE other.t (a text)", "d", known).charset == "latin1"


def test_a_collation_of_several_character_sets_says_none() -> None:
    table = create("CREATE TABLE t (a text COLLATE uca1400_ai_ci, b text CHARACTER SET ucs2 COLLATE uca1400_as_ci,"
                   " c text COLLATE latin1_bin) CHARACTER SET utf8mb3 COLLATE uca1400_ai_ci")
    assert [each.charset for each in table.columns] == ["utf8mb3", "ucs2", "latin1"]
    assert create("CREATE TABLE t (a text) COLLATE uca1400_ai_ci").charset == "utf8mb4", "the database's"


def test_a_reference_may_say_on_update_too() -> None:
    table = create("CREATE TABLE t (a int REFERENCES p (id) ON DELETE SET NULL ON UPDATE NO ACTION NOT NULL,"
                   " b timestamp ON UPDATE CURRENT_TIMESTAMP)")
    assert [each.on_update for each in table.columns] == [False, True]
    assert not table.columns[0].nullable


def test_dropping_a_column_takes_it_out_of_the_keys() -> None:
    _, known = altered("DROP COLUMN a", "CREATE TABLE t (id int, a int, UNIQUE (a), PRIMARY KEY (a, id))")
    table = next(iter(known))
    assert table.primary_key == ("id",)
    assert table.unique_keys == ()


@pytest.mark.parametrize(("actions", "expected"), [
    ("RENAME COLUMN id TO a, RENAME COLUMN a TO id", "a INT !, id VARCHAR(9) latin2 | a"),
    ("CHANGE id a bigint, CHANGE a id text", "a BIGINT !, id TEXT | a"),
    ("RENAME COLUMN id TO b, DROP a", "b INT ! | b"),
    ("RENAME COLUMN id TO b, ADD id int AFTER b, DROP a", "b INT !, id INT | b"),
    ("ADD UNIQUE (n, a), DROP PRIMARY KEY, ADD n int NOT NULL FIRST, MODIFY a int NOT NULL",
     "n INT !, id INT !, a INT ! | n, a"),
    ("ADD PRIMARY KEY (a), DROP PRIMARY KEY", "id INT !, a VARCHAR(9) latin2 ! | a"),
    ("MODIFY id int AFTER a, ADD b int AFTER a, ADD c int FIRST", "c INT, a VARCHAR(9) latin2, b INT, id INT ! | id"),
    ("ADD COLUMN IF NOT EXISTS (a int, b int), MODIFY IF EXISTS b text", "id INT !, a VARCHAR(9) latin2, b INT | id"),
    ("ADD b int PARTITION BY HASH (id) PARTITIONS 2", "id INT !, a VARCHAR(9) latin2, b INT | id"),
    ("DROP a REMOVE PARTITIONING", "id INT ! | id"),
    ("ADD `TABLE` int, ADD `PARTITION` int", "id INT !, a VARCHAR(9) latin2, TABLE INT, PARTITION INT | id"),
    ("CONVERT TO CHARACTER SET DEFAULT, ADD b text CHARACTER SET latin1", "id INT !, a VARCHAR(9), b TEXT latin1 | id"),
])
def test_actions_mean_the_columns_and_keys_before_the_statement(actions: str, expected: str) -> None:
    outcome, known = altered(actions, "CREATE TABLE t (id int PRIMARY KEY, a varchar(9) CHARACTER SET latin2)")
    assert outcome.reread == ()
    assert shape(next(iter(known))) == expected


def test_the_generated_invisible_primary_key_stays_first() -> None:
    _, known = altered("ADD b int FIRST", "CREATE TABLE t (my_row_id bigint unsigned NOT NULL AUTO_INCREMENT"
                                          " /*!80023 INVISIBLE */, a int, PRIMARY KEY (my_row_id))")
    assert [each.name for each in next(iter(known)).columns] == ["my_row_id", "b", "a"]


def test_json_has_the_charset_of_a_text_in_mariadb() -> None:
    known = structures()
    ddl.apply("CREATE TABLE t (j json) CHARACTER SET latin1", "d", known, Dialect(MARIADB))
    assert shape(next(iter(known))) == "j JSON |"
    assert next(iter(known)).columns[0].charset == "utf8mb4"


def test_a_partition_becomes_a_table_and_back() -> None:
    _, known = altered("CONVERT PARTITION p TO TABLE taken")
    assert seen(known)["d.taken"] == seen(known)["d.t"]
    ddl.apply("ALTER TABLE t CONVERT TABLE taken TO PARTITION p VALUES LESS THAN (4)", "d", known)
    assert list(seen(known)) == ["d.t"]


def test_names_of_columns_are_found_without_case() -> None:
    outcome, known = altered("MODIFY A bigint, DROP ID", "CREATE TABLE t (id int, a int)")
    assert outcome.reread == ()
    assert [(each.name, each.type_name) for each in next(iter(known)).columns] == [("a", "BIGINT")]


def test_names_of_tables_are_found_as_the_server_finds_them() -> None:
    known = replace(structures(), folds=True)
    ddl.apply("CREATE TABLE Mixed (a int)", "D", known)
    assert ddl.apply("ALTER TABLE MIXED ADD b int", "d", known).reread == ()
    assert [table.id for table in known] == [TableId("d", "", "mixed")]


def test_versioned_comments_run_where_the_server_runs_them() -> None:
    text = "CREATE TABLE t (a int /*!80023 INVISIBLE */ /*!99999 NOT NULL */ /*M!100000 COMMENT 'x' */)"
    mysql = ddl.read_create(text, "d", structures(), Dialect(version=80036)).columns[0]
    mariadb = ddl.read_create(text, "d", structures(), Dialect(MARIADB, version=101119)).columns[0]
    assert (mysql.invisible, mysql.nullable, mysql.comment) == (True, True, None)
    assert (mariadb.invisible, mariadb.nullable, mariadb.comment) == (False, True, "x")


def test_double_quotes_are_names_where_sql_mode_says_so() -> None:
    text = 'CREATE TABLE "t" ("a b" int DEFAULT 1)'
    assert ddl.read_create(text, "d", structures(), Dialect(ansi_quotes=True)).columns[0].name == "a b"
    with pytest.raises(NotUnderstood):
        ddl.read_create(text, "d", structures())


@pytest.mark.parametrize(("sql_mode", "expected"), [
    (None, (False, True)), (0, (False, True)), (0x4, (True, True)), (0x100000, (False, False)),
    (0x100004, (True, False)),
])
def test_an_events_sql_mode_decides_how_it_is_read(sql_mode: int | None, expected: tuple[bool, bool]) -> None:
    under = Dialect().under(sql_mode)
    assert (under.ansi_quotes, under.backslash_escapes) == expected


def test_backslashes_are_plain_where_sql_mode_says_so() -> None:
    text = r"CREATE TABLE t (a enum('x\') , b int)"
    assert len(ddl.read_create(text, "d", structures(), Dialect(backslash_escapes=False)).columns) == 2


def test_mariadb_keeps_keys_and_constraints_apart_from_columns() -> None:
    table = create("CREATE TABLE t (period int, vector int, comment text, s date, e date,"
                   " PERIOD FOR p (s, e), VECTOR KEY (vector), CONSTRAINT CHECK (period > 0))")
    assert [each.name for each in table.columns] == ["period", "vector", "comment", "s", "e"]


def test_hidden_columns_of_system_versioning_are_told() -> None:
    implicit = create("CREATE TABLE t (a int) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME (PARTITION p CURRENT)")
    explicit = create("CREATE TABLE t (a int, s timestamp(6) GENERATED ALWAYS AS ROW START, e timestamp(6) GENERATED"
                      " ALWAYS AS ROW END INVISIBLE, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING")
    assert (implicit.versioned, explicit.versioned) == (True, False)
    assert [column.nullable for column in explicit.columns] == [True, False, False]
    keyed = create("CREATE TABLE t (a int PRIMARY KEY, s timestamp(6) GENERATED ALWAYS AS ROW START, e timestamp(6)"
                   " GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING")
    assert keyed.primary_key == ("a", "e"), "former versions of a row have its key too"
    _, known = altered("ADD SYSTEM VERSIONING")
    assert next(iter(known)).versioned
    ddl.apply("ALTER TABLE t DROP SYSTEM VERSIONING", "d", known)
    assert not next(iter(known)).versioned


def test_a_prefix_or_an_expression_in_a_unique_key() -> None:
    table = create("CREATE TABLE t (a text NOT NULL, b int NOT NULL, UNIQUE ((lower(a))), UNIQUE (a(10), b DESC))")
    assert table.key == ("a", "b")


# -- long statements -------------------------------------------------------------------------------------------------


LONG = "select \"1\"; " * 100_000


@pytest.mark.parametrize(("text", "kind"), [
    (f"CREATE PROCEDURE p() BEGIN {LONG} END", "other"), (f"CREATE OR REPLACE FUNCTION f() {LONG}", "other"),
    (f"CREATE DEFINER=`a`@`b` TRIGGER x BEFORE INSERT ON t {LONG}", "other"), (f"CREATE VIEW v AS {LONG}", "other"),
    (f"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO {LONG}", "ddl"), (f"INSERT INTO t VALUES {'(1),' * 200_000}", "dml"),
    (f"GRANT {LONG}", "other"), (f"DROP PROCEDURE p /* {LONG} */", "other"), (f"BEGIN -- {LONG}", "begin"),
])
def test_a_long_statement_is_known_from_its_head(text: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have 64 MB, from any user of the server."""
    limits: list[int] = []

    def limited(text: str, dialect: Dialect, limit: int) -> tuple[tuple[Token, ...], bool]:
        limits.append(limit)
        return scan(text, dialect, limit)

    monkeypatch.setattr(schema_change_text, "scan", limited)
    outcome = ddl.apply(text, "d", structures())
    assert outcome.kind == kind
    assert limits == [schema_change_text._HEAD]


@pytest.mark.parametrize("tail", ["--" * 300_000, ", x" * 200_000])
def test_a_table_of_too_many_words_is_read_again(tail: str) -> None:
    outcome = ddl.apply(f"CREATE TABLE t (a int) {tail}", "d", structures())
    assert (outcome.reread, outcome.filled) == ((TableId("d", "", "t"),), ())
    assert "too long" in outcome.reason
    known = structures()
    known.put(create("CREATE TABLE t (a int)"))
    assert ddl.apply(f"ALTER TABLE t COMMENT 'x' {tail}", "d", known).reread == (TableId("d", "", "t"),)
    assert len(known) == 0
    assert ddl.apply(f"CREATE TABLE t (a int) {tail} SELECT 1", "d", structures()).filled
    with pytest.raises(NotUnderstood):
        create(f"CREATE TABLE t (a int) {tail}")


def test_as_many_partitions_and_labels_as_a_server_allows() -> None:
    parts = ",".join(f"PARTITION p{n} VALUES LESS THAN (to_days('{n}')) ENGINE = InnoDB" for n in range(8192))
    assert shape(create(f"CREATE TABLE t (a int) PARTITION BY RANGE (to_days(a)) ({parts})")) == "a INT |"
    labels = ",".join(f"'{n}'" for n in range(65535))
    assert len(create(f"CREATE TABLE t (a enum({labels}))").columns[0].enum_values) == 65535


@pytest.mark.parametrize(("text", "wanted"), [
    (r"'it''s'", "it's"), (r"'a\'b\\'", "a'b\\"), (r"'\n\%\q'", "\n\\%q"), ("''", ""), ("'open", "open"),
    ("'open\\", "open\\"), ("'a\nb'", "a\nb"), ('"x""y"', 'x"y'), ("`a``b\\`", "a`b\\"),
])
def test_quoted_texts(text: str, wanted: str) -> None:
    token, = tokenize(text)
    assert (token.value, token.text) == (wanted, text)
