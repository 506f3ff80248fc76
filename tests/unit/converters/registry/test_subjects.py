"""Which subject a topic's schema goes under, by each strategy."""

from __future__ import annotations

import pytest

from cdc.converters.registry.client import MockRegistry
from cdc.converters.registry.subjects import ASSOCIATED, RECORD, STRATEGIES, TOPIC, TOPIC_RECORD, Subjects, strategy_of
from cdc.core.errors import ConvertError, RegistryRefusedError


class Registry(MockRegistry):
    """Counts how often it is asked for associations."""

    def __init__(self, *subjects: str) -> None:
        super().__init__()
        self.found = list(subjects)
        self.asked: list[tuple[str, str, bool]] = []

    def associated_subjects(self, topic: str, cluster: str, is_key: bool) -> list[str]:
        self.asked.append((topic, cluster, is_key))
        return self.found


def name(strategy: str, is_key: bool = False, record: str | None = "x.R", registry: MockRegistry | None = None,
         fallback: str = TOPIC) -> str:
    return Subjects(strategy, is_key, registry or MockRegistry(), fallback).name("t", record)


@pytest.mark.parametrize(("strategy", "is_key", "wanted"), [
    (TOPIC, False, "t-value"), (TOPIC, True, "t-key"), (RECORD, False, "x.R"), (RECORD, True, "x.R"),
    (TOPIC_RECORD, False, "t-x.R"), (TOPIC_RECORD, True, "t-x.R"), (ASSOCIATED, True, "t-key")])
def test_each_strategy(strategy: str, is_key: bool, wanted: str) -> None:
    assert name(strategy, is_key) == wanted


@pytest.mark.parametrize("strategy", [RECORD, TOPIC_RECORD])
def test_strategies_by_record_refuse_what_is_none(strategy: str) -> None:
    with pytest.raises(ConvertError, match=strategy) as caught:
        name(strategy, record=None)
    assert caught.value.context == {"topic": "t"}
    assert "TopicNameStrategy" in caught.value.hint
    assert name(TOPIC, record=None) == "t-value"


def test_an_association_goes_before_the_fallback_and_is_asked_for_once() -> None:
    registry = Registry("mine")
    subjects = Subjects(ASSOCIATED, True, registry, RECORD, "cluster")
    assert [subjects.name("t", "x.R"), subjects.name("t", "x.S"), subjects.name("u", "x.R")] == ["mine"] * 3
    assert registry.asked == [("t", "cluster", True), ("u", "cluster", True)]


@pytest.mark.parametrize(("fallback", "wanted"), [(TOPIC, "t-value"), (RECORD, "x.R"), (TOPIC_RECORD, "t-x.R")])
def test_a_topic_without_association_has_the_fallbacks_subject(fallback: str, wanted: str) -> None:
    registry = Registry()
    subjects = Subjects(ASSOCIATED, False, registry, fallback)
    assert [subjects.name("t", "x.R"), subjects.name("t", "x.R")] == [wanted] * 2
    assert len(registry.asked) == 1


def test_without_a_fallback_it_is_refused() -> None:
    with pytest.raises(RegistryRefusedError, match="no associated subject") as caught:
        name(ASSOCIATED, fallback="")
    assert "fallback.type=TOPIC" in caught.value.hint


def test_two_associations_are_one_too_many() -> None:
    with pytest.raises(RegistryRefusedError, match="more than one") as caught:
        name(ASSOCIATED, registry=Registry("a", "b"))
    assert caught.value.context == {"topic": "t", "subjects": 2}


@pytest.mark.parametrize("package", ["", "io.confluent.kafka.serializers.subject.", " "])
def test_strategies_go_by_their_class_names(package: str) -> None:
    assert [strategy_of(package + each) for each in STRATEGIES] == list(STRATEGIES)
    assert strategy_of("") == TOPIC


def test_an_unknown_strategy_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="RecordNameStrategy"):
        strategy_of("org.example.Mine")
