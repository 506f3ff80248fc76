"""`dataclass` as in the standard library, but no code is written and compiled for each class.

The standard library's needs about a millisecond a class. `cdc run` loads two hundred of them, which was a quarter of
its time to the first event. Here the methods are the same functions for all classes, and go over the names of the
fields. To make or compare an object takes some microseconds more, so a class with objects for each row, or objects
that are keys of large dicts, uses the standard library's. `fields`, `replace`, `asdict` and `field` work with both:
the standard library makes its own view of a class when one of them first asks for it.

A class can only inherit from its own kind. It has no slots, because a class with slots is made twice. `InitVar` and
`KW_ONLY` are refused.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, Field
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final, NoReturn

_PLAN: Final = "__dataclass_plan__"


class _Plan:
    """What the methods of one class go by."""

    def __init__(self, cls: type, kw_only: bool) -> None:
        self.called = cls.__qualname__
        self.own: dict[str, Any] = {}
        """What the class itself declares, by name: a Field, a default, or MISSING."""
        self.by_name: dict[str, tuple[Any, bool]] = {}
        """The same of the whole class, in the order of the standard library: bases first. The second of each pair says
        whether the field is only given by name."""
        for base in reversed(cls.__mro__[1:]):
            above = base.__dict__.get(_PLAN)
            if above is not None:
                self.by_name |= above.by_name
        values = cls.__dict__
        for name, annotation in cls.__annotations__.items():
            kind = str(annotation).removeprefix("typing.").removeprefix("dataclasses.")
            if kind.startswith("ClassVar"):
                continue
            if kind.startswith(("InitVar", "KW_ONLY")):
                raise TypeError(f"{self.called}.{name}: this dataclass knows no {kind}")
            value = values.get(name, MISSING)
            self.own[name] = value
            self.by_name[name] = value, kw_only if not isinstance(value, Field) or value.kw_only is MISSING else (
                value.kw_only)
        self._methods()

    def _methods(self) -> None:
        placed: list[str] = []
        named: list[str] = []
        self.defaults: dict[str, Any] = {}
        self.factories: list[tuple[str, Any]] = []
        self.shown: list[str] = []
        self.compared: list[str] = []
        self.hashed: list[str] = []
        never = 0  # fields that are not given and have no default: `__post_init__` may set them
        for name, (value, by_name) in self.by_name.items():
            given = repr = compare = hashed = True
            default: Any = value
            factory: Any = MISSING
            if isinstance(value, Field):
                default, factory = value.default, value.default_factory
                given, repr, compare = value.init, value.repr, value.compare
                hashed = compare if value.hash is None else value.hash
            if default is not MISSING:
                self.defaults[name] = default
            elif factory is not MISSING:
                self.factories.append((name, factory))
            elif not given:
                never += 1
            if given:
                (named if by_name else placed).append(name)
            if repr:
                self.shown.append(name)
            if compare:
                self.compared.append(name)
            if hashed:
                self.hashed.append(name)
        self.by_place = tuple(placed)
        self.arguments = frozenset(placed + named)
        self.count = len(self.by_name) - never


class _Made:
    """An attribute that the standard library makes when it is first read: `__dataclass_fields__` and the like."""

    def __init__(self, name: str, flags: dict[str, bool]) -> None:
        self._name, self._flags = name, flags

    def __get__(self, _object: object, cls: type) -> Any:
        owner: Any = next(each for each in cls.__mro__ if _PLAN in each.__dict__)
        none = {"init": False, "repr": False, "eq": False}  # so no code is compiled
        if self._name == "__dataclass_params__":
            made: Any = dataclasses.dataclass(**none | self._flags)(type(owner.__name__, (), {}))
            owner.__dataclass_params__ = made.__dataclass_params__
            return made.__dataclass_params__
        plan, annotations = getattr(owner, _PLAN), owner.__annotations__
        alone = type(owner.__name__, (), {
            "__module__": owner.__module__, "__doc__": owner.__name__,
            "__annotations__": {name: annotations[name] for name in plan.own},
            **{name: value for name, value in plan.own.items() if value is not MISSING}})
        made = dataclasses.dataclass(**none, kw_only=self._flags["kw_only"])(alone)
        fields: dict[str, Any] = {}
        for base in reversed(owner.__mro__[1:]):
            fields |= getattr(base, "__dataclass_fields__", {})
        owner.__dataclass_fields__ = fields | made.__dataclass_fields__
        return owner.__dataclass_fields__


def _dataclass(cls: Any = None, /, *, repr: bool = True, eq: bool = True, frozen: bool = False,
               kw_only: bool = False) -> Any:
    """As `dataclasses.dataclass`. A method that the class defines itself stays."""
    flags = {"repr": repr, "eq": eq, "frozen": frozen, "kw_only": kw_only}
    methods: dict[str, Any] = {"__init__": _init}
    if repr:
        methods["__repr__"] = _repr
    if eq:
        methods["__eq__"] = _eq
        methods["__hash__"] = _hash if frozen else None
    if frozen:
        methods["__setattr__"] = _refuse_set
        methods["__delattr__"] = _refuse_delete

    def decorate(cls: Any) -> Any:
        plan = _Plan(cls, kw_only)
        for name, value in plan.own.items():
            if isinstance(value, Field):
                if value.default is MISSING:
                    delattr(cls, name)
                else:
                    setattr(cls, name, value.default)
        own = cls.__dict__
        attributes = methods | {_PLAN: plan, "__match_args__": plan.by_place} | {
            name: _Made(name, flags) for name in ("__dataclass_fields__", "__dataclass_params__")}
        for name, value in attributes.items():
            if own.get(name) is None:  # a class with an `__eq__` alone has None for a `__hash__`
                setattr(cls, name, value)
        return cls

    return decorate if cls is None else decorate(cls)


def _init(self: Any, *given: Any, **named: Any) -> None:
    plan: _Plan = self.__dataclass_plan__
    values = plan.defaults.copy()
    if given:
        if len(given) > len(plan.by_place):
            raise TypeError(f"{plan.called}() takes {len(plan.by_place)} positional arguments, {len(given)} were given")
        values.update(zip(plan.by_place, given))
    if named:
        if not plan.arguments.issuperset(named) or (given and not named.keys().isdisjoint(plan.by_place[:len(given)])):
            refused = named.keys() - (plan.arguments - set(plan.by_place[:len(given)]))
            raise TypeError(f"{plan.called}() has no argument {', '.join(sorted(refused))}, or was given it twice")
        values |= named
    for name, factory in plan.factories:
        if name not in values:
            values[name] = factory()
    if len(values) < plan.count:
        missing = next(name for name in plan.by_name if name in plan.arguments and name not in values)
        raise TypeError(f"{plan.called}() needs an argument {missing}")
    put = object.__setattr__  # `__dict__` would take three times the memory
    for name, value in values.items():
        put(self, name, value)
    then = getattr(self, "__post_init__", None)
    if then is not None:
        then()


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__dataclass_plan__.shown)
    return f"{self.__class__.__qualname__}({shown})"


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    names = self.__dataclass_plan__.compared
    return [getattr(self, name) for name in names] == [getattr(other, name) for name in names]


def _hash(self: Any) -> int:
    return hash(tuple([getattr(self, name) for name in self.__dataclass_plan__.hashed]))


def _refuse_set(_self: Any, name: str, _value: Any) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(_self: Any, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = _dataclass
