"""`NamedTuple` as in `typing`, but no code is compiled for each class.

That of `typing` compiles a function for each class, and each annotation: a quarter of a millisecond, and `cdc run`
loads forty of them until its first event. Here all classes have the same methods. To make an object takes a fraction of
a microsecond more, and two with arguments by name; so a class with objects for each row uses that of `typing`.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final


class _Made(type):
    """Makes a tuple class of a class body."""

    def __new__(cls, name: str, _bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
        fields = tuple(namespace.get("__annotations__", ()))
        defaults = {each: namespace[each] for each in fields if each in namespace}
        if tuple(defaults) != fields[len(fields) - len(defaults):]:
            raise TypeError(f"{name}: a field without a default follows one with a default")
        own = {"__slots__": (), "_fields": fields, "_field_defaults": defaults, "__match_args__": fields}
        own |= {each: property(itemgetter(index)) for index, each in enumerate(fields)}
        return type(name, (tuple,), _METHODS | namespace | own)


def _new(cls: Any, *given: Any, **named: Any) -> Any:
    fields = cls._fields
    if named or len(given) != len(fields):
        if len(given) > len(fields):
            raise TypeError(f"{cls.__qualname__}() takes {len(fields)} positional arguments, {len(given)} were given")
        refused = named.keys() - fields[len(given):]
        if refused:
            raise TypeError(f"{cls.__qualname__}() has no argument {', '.join(sorted(refused))}, or was given it twice")
        values = cls._field_defaults | dict(zip(fields, given)) | named
        if len(values) < len(fields):
            missing = next(each for each in fields if each not in values)
            raise TypeError(f"{cls.__qualname__}() needs an argument {missing}")
        given = tuple([values[each] for each in fields])
    return tuple.__new__(cls, given)


def _make(cls: Any, values: Iterable[Any]) -> Any:
    made = tuple.__new__(cls, values)
    if len(made) != len(cls._fields):
        raise TypeError(f"{cls.__qualname__}() needs {len(cls._fields)} arguments, not {len(made)}")
    return made


def _replace(self: Any, **named: Any) -> Any:
    return type(self)(**self._asdict() | named)


def _asdict(self: Any) -> dict[str, Any]:
    return dict(zip(self._fields, self, strict=True))


def _repr(self: Any) -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"


_METHODS: Final[dict[str, Any]] = {
    "__new__": _new, "_make": classmethod(_make), "_replace": _replace, "_asdict": _asdict, "__repr__": _repr,
    "__getnewargs__": lambda self: tuple(self)}

_BASE: Final = type.__new__(_Made, "NamedTuple", (), {})


class _NamedTuple:
    def __mro_entries__(self, _bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (_BASE,)


if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    NamedTuple = _NamedTuple()
