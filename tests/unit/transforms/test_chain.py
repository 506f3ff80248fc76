"""`transforms` and `predicates`: how they are read, in which order they apply, and what a failure says."""

from __future__ import annotations

from typing import Any

import pytest

from cdc import plugins
from cdc.converters import records
from cdc.core.errors import ConfigError, TransformError
from cdc.core.interfaces import Failed
from cdc.core.view import RecordView
from cdc.transforms.debezium import logical_router
from tests.unit.converters.tables import NOW_US, TOPIC
from tests.unit.transforms.worlds import applied, chain, change, converter, kept, message, one_step, problems, steps

ROUTE = {"transforms.r.type": "RegexRouter", "transforms.r.regex": "(.*)", "transforms.r.replacement": "$1-x"}
AGAIN = {"transforms.s.type": "RegexRouter", "transforms.s.regex": ".*-x", "transforms.s.replacement": "done"}
DEAD = {"predicates": "dead", "predicates.dead.type": "RecordIsTombstone"}


def test_the_result_of_one_goes_to_the_next_in_the_order_of_the_list() -> None:
    assert kept({"transforms": "r, s", **ROUTE, **AGAIN}, change()).topic == "done"
    assert kept({"transforms": "s,r", **ROUTE, **AGAIN}, change()).topic == f"{TOPIC}-x"


def test_a_dropped_record_ends_the_chain() -> None:
    config = {"transforms": "f,r", "transforms.f.type": "Filter", **ROUTE}
    assert applied(config, change()) is None


@pytest.mark.parametrize(("negate", "topics"), [("", [TOPIC, f"{TOPIC}-x"]), ("true", [f"{TOPIC}-x", TOPIC])])
def test_a_predicate_decides_and_negate_turns_it_round(negate: str, topics: list[str]) -> None:
    config = {"transforms": "r", **ROUTE, **DEAD, "transforms.r.predicate": "dead"}
    config |= {"transforms.r.negate": negate} if negate else {}
    assert [kept(config, change(op)).topic for op in ("c", "")] == topics


@pytest.mark.parametrize(("given", "option", "text"), [
    ({"transforms": "a,a", "transforms.a.type": "Filter"}, "transforms", "Duplicate alias provided"),
    ({"transforms": "a"}, "transforms.a.type", "required"),
    ({"transforms": "a", "transforms.a.type": "no.such.Class"}, "transforms.a.type", "there is no transform"),
    ({"transforms": "r", **ROUTE, "transforms.r.negate": "true"}, "transforms.r.negate", "there is no config"),
    ({"transforms": "r", **ROUTE, "transforms.r.predicate": "p"}, "transforms.r.predicate", "there is no predicate"),
    ({"transforms": "r", **ROUTE, "transforms.r.regex": "("}, "transforms.r.regex", "is not valid"),
    ({"transforms": "r", **ROUTE, "transforms.r.replacement": "$2"}, "transforms.r.replacement", "names no group"),
    ({**DEAD, "predicates.dead.type": "TopicNameMatches"}, "predicates.dead.pattern", "required"),
])
def test_each_problem_names_its_key(given: dict[str, str], option: str, text: str) -> None:
    found = problems(given)
    assert list(found) == [option]
    assert text in found[option]


def test_a_java_class_that_is_missing_is_told_how_to_port_it() -> None:
    with pytest.raises(ConfigError, match=r"cdc docs reference/transforms"):
        plugins.find("transform", "com.acme.kafka.Scramble")


def test_a_failure_names_the_stage_the_transform_and_the_topic_and_no_value() -> None:
    config = one_step("RegexRouter", regex=".*", replacement="x")
    broken = chain(config)

    class Fails:
        def apply(self, view: RecordView) -> RecordView:
            raise ValueError("secret")

    broken.steps = (steps(config)[0].__class__("x", "com.acme.Fails", Fails()),)
    with pytest.raises(TransformError) as caught:
        broken.apply([change()], NOW_US)
    assert caught.value.context == {"stage": "TRANSFORMATION", "transform": "x", "class": "com.acme.Fails",
                                    "topic": TOPIC}
    assert "secret" not in str(caught.value)


def test_a_failing_record_is_told_and_with_tolerance_it_alone_is_left_out() -> None:
    class FailsOnTwo:
        def apply(self, view: RecordView) -> RecordView:
            if view.column("after", "id") == 2:
                raise TransformError("two")
            return view

    records = [change(id_="1"), change(id_="2"), change(id_="3")]
    for tolerant, kept_count in ((True, 2), (False, 1)):
        failed: list[Failed] = []
        made = chain(one_step("Filter"), tolerant=tolerant)
        made.steps = (steps(one_step("Filter"))[0].__class__("x", "c", FailsOnTwo()),)
        assert len(made.apply(records, NOW_US, failed)) == kept_count
        assert [(each.error.message, each.record, each.stage) for each in failed] == [
            ("two", records[1], "TRANSFORMATION")]


def test_messages_go_through_too() -> None:
    view = kept({"transforms": "r", **ROUTE}, message(topic="__debezium-heartbeat.srv", kafka_partition=0))
    assert (view.topic, view.kafka_partition) == ("__debezium-heartbeat.srv-x", 0)
    assert converter().convert([view], NOW_US)[0].kafka_partition == 0


def test_a_regex_that_takes_too_long_fails_on_that_record_alone() -> None:
    slow, topic = "(a|aa)+x", "a" * 60
    config = one_step("RegexRouter", regex=slow, replacement="x") | {
        "predicates": "p", "predicates.p.type": "TopicNameMatches", "predicates.p.pattern": slow}
    for more in ({}, {"transforms.x.predicate": "p"}):
        failed: list[Failed] = []
        made = chain(config | more, tolerant=True, shapes=True)
        assert len(made.apply([message(topic=topic), change()], NOW_US, failed)) == 1
        assert [type(each.error) for each in failed] == [TransformError]
        assert "aaaa" not in failed[0].error.message


def test_topics_from_rows_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_PLANS", 10)
    monkeypatch.setattr(logical_router, "_MAX_TOPICS", 10)
    made = chain({"transforms": "a,b", "transforms.a.type": "io.debezium.transforms.ContentBasedRouter",
                  "transforms.a.language": "cdc", "transforms.a.topic.expression": "'t' + value.after.id",
                  "transforms.b.type": "io.debezium.transforms.ByLogicalTableRouter",
                  "transforms.b.topic.regex": "(.*)", "transforms.b.topic.replacement": "$1-all"})
    to = converter()
    sent = to.convert(made.apply([change(id_=str(number)) for number in range(50)], NOW_US), NOW_US)
    assert len({each.topic for each in sent}) == 50
    router: Any = made.steps[1].transform
    assert max(map(len, (router._topics, router._schemas, to.header_cache))) <= 10
