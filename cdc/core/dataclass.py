"""`dataclass` as in the standard library, but no code is written and compiled for each class.

The standard library's needs about a millisecond a class. `cdc run` loads two hundred of them, which was a quarter of
its time to the first event. Here the methods are closures over the names of the fields. To make or compare an object
takes some microseconds more, so a class with objects for each row, or objects that are keys of large dicts, uses the
standard library's. `fields`, `replace`, `asdict` and `field` work with both. A class can only inherit from its own
kind, and frozen objects cannot be copied by `copy` or `pickle`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any


def _dataclass(cls: Any = None, /, *, repr: bool = True, eq: bool = True, frozen: bool = False, kw_only: bool = False,
               slots: bool = False, weakref_slot: bool = False) -> Any:
    """As `dataclasses.dataclass`. A method that the class defines itself stays."""
    def decorate(cls: type) -> type:
        if cls.__doc__ is None:
            cls.__doc__ = cls.__name__  # else the standard library would look for a signature, which takes long
        made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only, slots=slots,
                                          weakref_slot=weakref_slot)(cls)
        for name, method in _methods(made, repr, eq, frozen).items():
            if cls.__dict__.get(name) is None:  # a class with an `__eq__` alone has None for a `__hash__`
                setattr(made, name, method)
        return made  # type: ignore[no-any-return]

    return decorate if cls is None else decorate(cls)


def _methods(cls: Any, repr: bool, eq: bool, frozen: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"__init__": _init(cls)}
    if repr:
        found["__repr__"] = _repr(tuple(each.name for each in dataclasses.fields(cls) if each.repr))
    if eq:
        found["__eq__"] = _eq(tuple(each.name for each in dataclasses.fields(cls) if each.compare))
        hashed = tuple(each.name for each in dataclasses.fields(cls)
                       if (each.compare if each.hash is None else each.hash))
        found["__hash__"] = _hash(hashed) if frozen else None
    if frozen:
        found |= {"__setattr__": _refuse_set, "__delattr__": _refuse_delete}
    return found


def _init(cls: Any) -> Callable[..., None]:
    own = dataclasses.fields(cls)
    placed = [each for each in own if each.init and not each.kw_only]
    by_place = tuple(each.name for each in placed)
    ordered = tuple((each.name, each.default, each.default_factory) for each in (
        *placed, *(each for each in own if each.init and each.kw_only)))
    never_given = tuple((each.name, each.default, each.default_factory) for each in own if not each.init and (
        each.default is not MISSING or each.default_factory is not MISSING))
    called, put = cls.__qualname__, object.__setattr__
    then = hasattr(cls, "__post_init__")

    def __init__(self: Any, *given: Any, **named: Any) -> None:
        if len(given) > len(by_place):
            raise TypeError(f"{called}() takes {len(by_place)} positional arguments, {len(given)} were given")
        for name, value in zip(by_place, given):
            put(self, name, value)
        for name, default, factory in ordered[len(given):]:
            if name in named:
                put(self, name, named.pop(name))
            elif default is not MISSING:
                put(self, name, default)
            elif factory is not MISSING:
                put(self, name, factory())
            else:
                raise TypeError(f"{called}() needs an argument {name}")
        if named:
            raise TypeError(f"{called}() has no argument {', '.join(named)}, or was given it twice")
        for name, default, factory in never_given:
            put(self, name, factory() if factory is not MISSING else default)
        if then:
            self.__post_init__()

    return __init__


def _repr(names: tuple[str, ...]) -> Callable[[Any], str]:
    @recursive_repr()
    def __repr__(self: Any) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({shown})"

    return __repr__


def _eq(names: tuple[str, ...]) -> Callable[[Any, Any], bool]:
    def __eq__(self: Any, other: Any) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return [getattr(self, name) for name in names] == [getattr(other, name) for name in names]

    return __eq__


def _hash(names: tuple[str, ...]) -> Callable[[Any], int]:
    def __hash__(self: Any) -> int:
        return hash(tuple([getattr(self, name) for name in names]))

    return __hash__


def _refuse_set(self: Any, name: str, value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = _dataclass
