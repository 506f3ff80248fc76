"""Our `dataclass` makes what the standard library's makes."""

from __future__ import annotations

import copy
import dataclasses
import pprint
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, asdict, field, fields, replace
from typing import Any

import pytest

from cdc.core.dataclass import _dataclass
from tests.unit.own_modules import own_modules

Decorator = Callable[..., Any]
BOTH = pytest.mark.parametrize("dataclass", [_dataclass, dataclasses.dataclass])


def shapes(dataclass: Decorator) -> tuple[Any, Any, Any]:
    @dataclass(frozen=True)
    class Place:
        """With a default, a factory and a hidden field."""

        name: str
        size: int = 1
        parts: list[int] = field(default_factory=list, compare=False)
        secret: str = field(default="s", repr=False, hash=False)
        counted: int = field(default=7, init=False)

        def __post_init__(self) -> None:
            if self.size < 0:
                raise ValueError("size")

    @dataclass(kw_only=True)
    class Loose:
        first: int
        second: tuple[int, ...] = ()

    @dataclass(frozen=True)
    class Lower(Place):
        more: str = "m"

        def __repr__(self) -> str:
            return "own"

    return Place, Loose, Lower


@BOTH
def test_objects_are_made_by_place_and_by_name(dataclass: Decorator) -> None:
    place, loose, lower = shapes(dataclass)
    made = place("n", 2, secret="t")
    assert (made.name, made.size, made.parts, made.secret, made.counted) == ("n", 2, [], "t", 7)
    assert (loose(first=3).first, loose(first=3).second) == (3, ())
    assert lower("n", more="x").more == "x"
    assert place("a").parts is not place("a").parts


@BOTH
@pytest.mark.parametrize("make", [
    lambda place, loose: place(), lambda place, loose: place("a", 1, [], "s", 7), lambda place, loose: loose(1),
    lambda place, loose: place("a", name="b"), lambda place, loose: place("a", other=1),
    lambda place, loose: place("a", counted=1)])
def test_wrong_arguments_are_refused(dataclass: Decorator, make: Any) -> None:
    place, loose, _ = shapes(dataclass)
    with pytest.raises(TypeError):
        make(place, loose)


@BOTH
def test_equality_hash_and_text_follow_the_fields(dataclass: Decorator) -> None:
    place, loose, lower = shapes(dataclass)
    assert place("a", parts=[1]) == place("a", parts=[2])
    assert hash(place("a", secret="x")) == hash(place("a", secret="y"))
    assert place("a") != place("b")
    assert place("a") != lower("a")
    assert place("a") != "a"
    assert repr(place("a")).endswith("Place(name='a', size=1, parts=[], counted=7)")
    assert repr(lower("a")) == "own"
    assert loose.__hash__ is None
    assert loose(first=1) == loose(first=1)


@BOTH
def test_frozen_objects_do_not_change(dataclass: Decorator) -> None:
    place, loose, _ = shapes(dataclass)
    made = place("a")
    with pytest.raises(FrozenInstanceError):
        made.name = "b"
    with pytest.raises(FrozenInstanceError):
        del made.name
    free = loose(first=1)
    free.first = 2
    assert free == loose(first=2)


@BOTH
def test_the_functions_of_the_standard_library_work(dataclass: Decorator) -> None:
    place, loose, _ = shapes(dataclass)
    assert [each.name for each in fields(place)] == ["name", "size", "parts", "secret", "counted"]
    assert replace(place("a", parts=[1]), size=3) == place("a", 3, [1])
    assert asdict(loose(first=1)) == {"first": 1, "second": ()}
    with pytest.raises(ValueError, match="size"):
        replace(place("a"), size=-1)
    match place("a", 5):
        case place(name, size):
            assert (name, size) == ("a", 5)
        case _:
            raise AssertionError


@BOTH
def test_methods_and_identity_of_a_class_stay(dataclass: Decorator) -> None:
    @dataclass(frozen=True, eq=False)
    class Same:
        name: str

        def __init__(self) -> None:
            object.__setattr__(self, "name", "own")

    @dataclass(frozen=True)
    class Own:
        name: str

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 5

    assert Same().name == "own"
    assert Same() != Same()
    assert Own("a") == Own("b")
    assert hash(Own("a")) == 5


@pytest.mark.parametrize("kind", ["InitVar[int]", "dataclasses.KW_ONLY"])
def test_what_is_not_supported_is_refused(kind: str) -> None:
    with pytest.raises(TypeError, match=r"Place\.size: this dataclass knows no"):
        _dataclass(type("Place", (), {"__annotations__": {"size": kind}}))


def test_the_standard_library_reads_all_our_classes_as_we_do() -> None:
    classes: set[Any] = {each for module in own_modules() for each in vars(module).values()
                         if isinstance(each, type) and "__dataclass_plan__" in vars(each)}
    assert len(classes) > 200
    for made in classes:
        plan, known = vars(made)["__dataclass_plan__"], fields(made)
        assert tuple(each.name for each in known if each.init and not each.kw_only) == plan.by_place == (
            made.__match_args__)
        assert {each.name for each in known if each.init} == plan.arguments
        assert {each.name: each.default for each in known if each.default is not MISSING} == plan.defaults
        assert [(each.name, each.default_factory) for each in known if each.default_factory is not MISSING] == (
            plan.factories)
        assert [each.name for each in known if each.repr] == plan.shown
        assert [each.name for each in known if each.compare] == plan.compared
        assert [each.name for each in known if (each.compare if each.hash is None else each.hash)] == plan.hashed
        assert pprint.pformat(made.__dataclass_params__)


def test_objects_can_be_copied() -> None:
    place = shapes(_dataclass)[0]("a", 5)
    assert copy.deepcopy(place) == copy.copy(place) == place


def test_no_code_is_compiled_for_a_class() -> None:
    script = """
import builtins
from cdc.core.dataclass import dataclass
def refuse(*args, **named): raise AssertionError("compiled")
builtins.exec = refuse
@dataclass(frozen=True)
class Place:
    name: str
    size: int = 1
print(Place("a"))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "Place(name='a', size=1)\n"
