"""Our `NamedTuple` makes what that of `typing` makes."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import typing
from typing import Any

import pytest

from cdc.core import named_tuple


def shape(base: Any, name: str) -> Any:
    class Made(base):  # type: ignore[misc]
        """Two, one with a default."""

        name: str
        size: int = 1

        def twice(self) -> int:
            return 2 * self.size

        @property
        def first(self) -> str:
            return self.name[:1]

    Made.__name__ = Made.__qualname__ = name  # where `pickle` looks for it
    return Made


Theirs, Ours = shape(typing.NamedTuple, "Theirs"), shape(named_tuple.NamedTuple, "Ours")
BOTH = pytest.mark.parametrize("made", [Ours, Theirs])


@BOTH
def test_objects_are_tuples_with_names(made: Any) -> None:
    one: Any = made("a", 5)
    same: list[Any] = [("a", 5), made(name="a", size=5), made("a", size=5)]
    assert all(one == each and hash(one) == hash(each) for each in same)
    assert isinstance(one, tuple)
    name, size = tuple(one)
    assert (name, size) == ("a", 5)
    assert made("a") == ("a", 1) == made(name="a")
    assert repr(one) == f"{made.__name__}(name='a', size=5)"
    assert made.__doc__ == "Two, one with a default."
    assert made.__module__ == __name__


@BOTH
def test_names_and_methods_work(made: Any) -> None:
    one = made("a", 5)
    assert (one.name, one.size, one.twice(), one.first) == ("a", 5, 10, "a")
    assert not hasattr(one, "__dict__")


@BOTH
def test_the_helpers_are_there(made: Any) -> None:
    one = made("a", 5)
    assert made._fields == made.__match_args__ == ("name", "size")
    assert made._field_defaults == {"size": 1}
    assert one._replace(size=6) == ("a", 6)
    assert type(one._replace(size=6)) is made
    assert one._asdict() == {"name": "a", "size": 5}
    assert made._make(["a", 5]) == one
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    assert type(copy.copy(one)) is made
    match one:
        case made(name, size):
            assert (name, size) == ("a", 5)
        case _:
            raise AssertionError


@BOTH
@pytest.mark.parametrize("make", [
    lambda made: made(), lambda made: made("a", 1, 2), lambda made: made("a", name="b"),
    lambda made: made("a", other=1), lambda made: made(size=1), lambda made: made._make(["a"]),
    lambda made: made._make(["a", 1, 2])])
def test_wrong_arguments_are_refused(made: Any, make: Any) -> None:
    with pytest.raises(TypeError):
        make(made)


@BOTH
def test_objects_do_not_change(made: Any) -> None:
    with pytest.raises(AttributeError):
        made("a").name = "b"
    with pytest.raises(AttributeError):
        made("a").other = "b"


def test_a_default_is_not_followed_by_a_field_without() -> None:
    with pytest.raises(TypeError, match="Wrong: a field without a default"):
        named_tuple._Made("Wrong", (), {"__annotations__": {"a": "int", "b": "int"}, "a": 1})


def test_no_code_is_compiled_for_a_class() -> None:
    script = """
import sys
from cdc.core.named_tuple import NamedTuple
sys.addaudithook(lambda event, _: sys.exit(event) if event == "compile" else None)
class Place(NamedTuple):
    name: str
    size: int = 1
print(Place("a"))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "Place(name='a', size=1)\n"
