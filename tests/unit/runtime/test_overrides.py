"""Flags over variables over files over defaults, and what is said about a variable that sets nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from cdc import plugins, privacy
from cdc.config.providers import Providers
from cdc.config.secrets import HIDDEN, Secret, mask
from cdc.core.errors import ConfigError
from cdc.runtime import configfile
from cdc.runtime.overrides import Override, Overrides

SHOP = {"name": "shop", "connector.class": "postgres", "topic.prefix": "shop", "database.hostname": "file",
        "slot.name": "file"}
CRM = {"name": "crm-1", "connector.class": "mysql", "topic.prefix": "crm"}
WORKER = {"bootstrap.servers": "file:9092", "offset.storage.file.filename": "/offsets"}
Config = dict[str, str]


class Start:
    """One start: what files, environment and flags give together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self, *configs: Config) -> list[Path]:
        paths = [self.folder / f"{number}.properties" for number in range(len(configs))]
        for path, config in zip(paths, configs, strict=True):
            path.write_text("".join(f"{key}={text}\n" for key, text in config.items()), encoding="utf-8")
        return paths

    def over(self, environment: Config, flags: Sequence[str] = ()) -> Overrides:
        return Overrides(environment, flags, plugins.worker_options(), plugins.connector_options,
                         lambda name: plugins.find("connector", name).load_options())

    def __call__(self, configs: Sequence[Config], environment: Config | None = None,
                 flags: Sequence[str] = ()) -> tuple[Config, list[Config]]:
        return configfile.load_raw(self.files(*configs), plugins.worker_options(), self.over(environment or {}, flags))

    def secret(self, text: str) -> str:
        path = self.folder / "secret"
        path.write_text(text, encoding="utf-8")
        return str(path)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return Start(tmp_path)


ALONE = [WORKER, SHOP]
BOTH = [WORKER, SHOP, CRM]


# Precedence


def test_a_variable_goes_over_the_file_and_a_flag_over_both(start: Start) -> None:
    worker, (shop,) = start(ALONE)
    assert (worker["bootstrap.servers"], shop["database.hostname"]) == ("file:9092", "file")
    environment = {"CDC_BOOTSTRAP_SERVERS": "env:9092", "CDC_DATABASE_HOSTNAME": "env"}
    worker, (shop,) = start(ALONE, environment)
    assert (worker["bootstrap.servers"], shop["database.hostname"]) == ("env:9092", "env")
    worker, (shop,) = start(ALONE, environment, ["bootstrap.servers=flag:9092", "shop:database.hostname=flag"])
    assert (worker["bootstrap.servers"], shop["database.hostname"]) == ("flag:9092", "flag")
    assert start(ALONE, {}, ["database.hostname=a=b"])[1][0]["database.hostname"] == "a=b"


@pytest.mark.parametrize("table", ["worker", "postgres", "mysql", "mariadb"])
def test_every_key_can_be_set(start: Start, table: str) -> None:
    """By its variable, in whatever part it belongs to."""
    options = plugins.worker_options() if table == "worker" else plugins.find("connector", table).load_options()
    environment = {"CDC_" + re.sub(r"\W", "_", o.key.upper()): "v" for o in (*options.options, *options.others)
                   if o.pattern is None and o.key not in ("name", "connector.class")}
    worker, (shop,) = start([{}, {"name": "shop", "connector.class": "mysql" if table == "worker" else table}],
                            environment)
    assert {key for key, text in (worker | shop).items() if text == "v"} == {
        o.key for o in (*options.options, *options.others) if o.pattern is None} - {"name", "connector.class"}


def test_an_empty_variable_sets_nothing(start: Start) -> None:
    """Compose and charts write `CDC_X: ${X:-}`; an include list that is emptied captures everything."""
    assert start([WORKER, SHOP | {"table.include.list": "a.b"}], {
        "CDC_TABLE_INCLUDE_LIST": "", "CDC_DATABASE_PASSWORD_FILE": "", "CDC_PROPERTIES": ""}) == (
        WORKER, [SHOP | {"table.include.list": "a.b"}])


def test_keys_of_one_file_for_both_are_divided_as_in_the_file(start: Start) -> None:
    avro = {"value.converter": "avro", "value.converter.schema.registry.url": "file"}
    worker, (shop,) = start([WORKER | SHOP | avro], {
        "CDC_VALUE_CONVERTER_SCHEMA_REGISTRY_URL": "env", "CDC_HEARTBEAT_INTERVAL_MS": "5"})
    assert worker["value.converter.schema.registry.url"] == shop["value.converter.schema.registry.url"] == "env"
    assert (worker.get("heartbeat.interval.ms"), shop["heartbeat.interval.ms"]) == (None, "5")


def test_a_converter_is_set_for_a_connector_only_if_it_has_its_own(start: Start) -> None:
    worker, (shop,) = start(ALONE, {"CDC_KEY_CONVERTER": "avro", "CDC_KEY_CONVERTER_SCHEMA_REGISTRY_URL": "u"})
    assert (worker["key.converter"], shop) == ("avro", SHOP)
    worker, (shop,) = start([WORKER, SHOP | {"key.converter": "json"}], {"CDC_KEY_CONVERTER": "avro"})
    assert worker["key.converter"] == shop["key.converter"] == "avro"
    worker, (shop,) = start(ALONE, {"CDC_KEY_CONVERTER": "avro", "CDC_SHOP__KEY_CONVERTER": "json"})
    assert (worker["key.converter"], shop["key.converter"]) == ("avro", "json")


# Several connectors


def test_a_connector_is_named_before_two_underscores(start: Start) -> None:
    _, (shop, crm) = start(BOTH, {"CDC_SHOP__DATABASE_PORT": "1", "CDC_CRM_1__DATABASE_PORT": "2"},
                           ["crm-1:database.user=u"])
    assert (shop["database.port"], crm["database.port"]) == ("1", "2")
    assert ("database.user" in shop, crm["database.user"]) == (False, "u")


def test_a_workers_key_needs_no_name(start: Start) -> None:
    worker, connectors = start(BOTH, {"CDC_BOOTSTRAP_SERVERS": "env", "CDC_VALUE_CONVERTER": "avro"})
    assert (worker["bootstrap.servers"], worker["value.converter"]) == ("env", "avro")
    assert connectors == [SHOP, CRM]


# From nothing


def test_there_may_be_no_file_at_all(start: Start) -> None:
    worker, (made,) = start([], {"CDC_NAME": "shop", "CDC_CONNECTOR_CLASS": "postgres", "CDC_SINK_TYPE": "stdout",
                                 "CDC_PROPERTIES": "driver.connectTimeout=5\ntopic.prefix = a\\\n  b\n"})
    assert worker == {"sink.type": "stdout"}
    assert made == {"name": "shop", "connector.class": "postgres", "driver.connectTimeout": "5", "topic.prefix": "ab"}


def test_a_worker_file_and_a_connector_in_the_environment(start: Start) -> None:
    with pytest.raises(ConfigError, match="the environment: the connector has no name"):
        start([WORKER], {"CDC_SLOT_NAME": "s"})
    assert start([WORKER], {"CDC_SLOT_NAME": "s", "CDC_NAME": "n"}) == (WORKER, [{"slot.name": "s", "name": "n"}])


# Errors


@pytest.mark.parametrize(("configs", "environment", "wanted"), [
    (ALONE, {"CDC_DATABSE_PORT": "5"}, ["CDC_DATABSE_PORT: ", "did you mean CDC_DATABASE_PORT?", "unset it"]),
    (ALONE, {"CDC_SLOT_NAM": ""}, ["CDC_SLOT_NAM: ", "did you mean CDC_SLOT_NAME?"]),
    (ALONE, {"CDC_DATABSE_PASSWORD_FILE": "/x"}, ["did you mean CDC_DATABASE_PASSWORD?"]),
    (ALONE, {"CDC_WHATEVER": "5"}, ["CDC_WHATEVER: no configuration key"]),
    (ALONE, {"CDC_PORT": "8083"}, ["CDC_PORT: no configuration key"]),
    (ALONE, {"CDC_A": "5", "CDC_B": "6"}, ["2 problems", "CDC_A: ", "CDC_B: "]),
    (ALONE, {"CDC_SHOPP__SLOT_NAME": "s"}, ["CDC_SHOPP__SLOT_NAME: ", "begin with CDC_SHOP__."]),
    (ALONE, {"CDC_SHOP__SLOT_NAM": "s"}, ["did you mean CDC_SHOP__SLOT_NAME?"]),
    (ALONE, {"CDC_DATABASE_SERVER_ID": "7"}, ["CDC_DATABASE_SERVER_ID: postgres has no key database.server.id"]),
    (ALONE, {"CDC_DATABASE_SSL_MODE": "x"}, ["postgres has no key", "did you mean CDC_DATABASE_SSLMODE?"]),
    (ALONE, {"CDC_SHOP__LISTENERS": "x"}, ["CDC_SHOP__LISTENERS: postgres has no key listeners"]),
    (ALONE, {"CDC_SLOT_NAME": "a", "CDC_SLOT_NAME_FILE": "FILE"}, ["CDC_SLOT_NAME sets slot.name too"]),
    (ALONE, {"CDC_SLOT_NAME": "a", "CDC_SHOP__SLOT_NAME": "b"}, ["CDC_SHOP__SLOT_NAME sets slot.name too"]),
    (ALONE, {"CDC_SLOT_NAME": "a", "CDC_PROPERTIES": "slot.name=b"}, ["CDC_PROPERTIES sets slot.name too"]),
    (ALONE, {"CDC_PROPERTIES": "a\\u12"}, ["CDC_PROPERTIES: CDC_PROPERTIES, line 1"]),
    (ALONE, {"CDC_SLOT_NAME_FILE": "/no/such"}, ["CDC_SLOT_NAME_FILE: /no/such cannot be read"]),
    (BOTH, {"CDC_SLOT_NAME": "s"}, ["which connector", "CDC_SHOP__SLOT_NAME or CDC_CRM_1__SLOT_NAME"]),
    (BOTH, {"CDC_CRM_1__SLOT_NAME": "s"}, ["mysql has no key slot.name"]),
    ([WORKER, SHOP | {"name": "a.b"}, CRM | {"name": "a-b"}], {"CDC_A_B__DATABASE_PORT": "s"}, ["several connectors"]),
])
def test_a_variable_that_sets_nothing_is_an_error(start: Start, configs: list[Config], environment: Config,
                                                  wanted: list[str]) -> None:
    secret = start.secret("geheim")
    with pytest.raises(ConfigError) as raised:
        start(configs, {name: secret if text == "FILE" else text for name, text in environment.items()})
    assert [part for part in wanted if part not in str(raised.value)] == []
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(("flag", "wanted"), [
    ("slot.nam=x", "--set slot.nam: unknown key; did you mean slot.name?"),
    ("slot.name", "key=value"),
    ("=x", "key=value"),
    ("crm:slot.name=x", "--set crm:slot.name: unknown key"),
    ("database.password=geheim", "CDC_DATABASE_PASSWORD_FILE"),
    ("producer.sasl.jaas.config=geheim", "CDC_PRODUCER_SASL_JAAS_CONFIG_FILE"),
])
def test_a_flag_that_sets_nothing_is_an_error(start: Start, flag: str, wanted: str) -> None:
    with pytest.raises(ConfigError) as raised:
        start(ALONE, {}, [flag])
    assert wanted in str(raised.value)
    assert "geheim" not in str(raised.value)


def test_a_flag_must_say_which_connector(start: Start) -> None:
    with pytest.raises(ConfigError, match="Write --set shop:slot.name or --set crm-1:slot.name".replace(".", r"\.")):
        start(BOTH, {}, ["slot.name=x"])


def test_a_flag_may_refer_to_a_secret(start: Start) -> None:
    assert start(ALONE, {}, ["database.password=${env:PW}"])[1][0]["database.password"] == "${env:PW}"


def test_variables_of_a_service_are_listed(start: Start) -> None:
    over = start.over({"CDC_SERVICE_HOST": "h", "CDC_SERVICE_PORT": "1", "CDC_SLOT_NAME": "env"})
    _, (shop,) = configfile.load_raw(start.files(*ALONE), plugins.worker_options(), over)
    assert (shop["slot.name"], over.services) == ("env", ["CDC_SERVICE_HOST", "CDC_SERVICE_PORT"])
    assert over.made == [Override("shop", "slot.name", "CDC_SLOT_NAME")]


def test_a_variable_that_a_file_refers_to_stays_what_it_was(start: Start) -> None:
    """Files of today may have names of their own for passwords, and those of our variables too."""
    file = SHOP | {"database.password": "${env:CDC_PW}", "database.user": "${env:CDC_DATABASE_USER}"}
    assert start([WORKER, file], {"CDC_PW": "geheim", "CDC_DATABASE_USER": "u"}) == (WORKER, [file])


# Secrets


def test_secrets_are_not_shown(start: Start) -> None:
    """Whether they come in a variable or in a file; and no text of a file is taken as a reference."""
    environment = {
        "CDC_DATABASE_PASSWORD": "geheim", "CDC_DATABASE_USER_FILE": start.secret("${env:geheim}\n"),
        "CDC_PRODUCER_OVERRIDE_SASL_JAAS_CONFIG": "geheim", "CDC_PROPERTIES": "driver.password=geheim",
        "CDC_SNAPSHOT_MODE": "initial",
    }
    over = start.over(environment)
    assert "geheim" not in repr(over)
    _, (shop,) = configfile.load_raw(start.files(*ALONE), plugins.worker_options(), over)
    shown = mask(privacy.public_config(shop, plugins.find("connector", "postgres")))
    assert "geheim" not in str(shown)
    assert shown["database.user"] == shown["database.password"] == HIDDEN
    assert shown["snapshot.mode"] == "initial"
    assert Providers.of({}).resolve(shop)["database.user"] == "${env:geheim}"
    assert "geheim" not in str(over.made)


def test_a_file_of_properties_is_secret_as_a_whole(start: Start) -> None:
    _, (shop,) = start(ALONE, {"CDC_PROPERTIES_FILE": start.secret("slot.name=geheim\ndatabase.port=5\n")})
    assert isinstance(shop["slot.name"], Secret)
    assert shop["database.port"] == "5"
