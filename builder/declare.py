"""Declaring values: `dataclass`, `field` and `replace` as the standard library has them, made when they are used.

The standard library writes and compiles six functions for a class when its module is imported. That took two thirds of
the time of a build in which nothing changed, most of it for classes of which no value was ever made. Here a class has
its fields and what needs no compiling from the beginning, and its `__init__` is compiled when it has had a few values.
Only what this program uses is known: `frozen`, `slots`, `order`, and `default`, `default_factory`, `init`, `repr` and
`compare` of a field. For everybody else (mypy, `dataclasses.fields`, `dataclasses.replace`) these are dataclasses. Why:
docs/decisions/0033-values-are-declared-late.md.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["compile_all", "dataclass", "field", "is_declared", "replace", "types_of"]

_MISSING: Any = object()
_FIELDS = "__declared_fields__"
_VALUES = "__declared_values__"
"""The values of the fields that count when two are compared: not a method, since `attrgetter` is bound to nothing."""
_FIRST_VALUES = 12
"""So many values are made field by field. Compiling takes as long as 25 of them, and most classes have fewer."""
_put = object.__setattr__
_waiting: dict[type, Callable[[], Callable[..., None]]] = {}
"""What compiles the `__init__` of classes that have had few values or none."""


class _Field:
    """What is said of one field beside its name."""

    __slots__ = ("compare", "default", "factory", "init", "repr")

    def __init__(
        self,
        default: Any = _MISSING,
        factory: Any = _MISSING,
        *,
        init: bool = True,
        repr: bool = True,  # noqa: A002 - as the standard library has it
        compare: bool = True,
    ) -> None:
        self.default = default
        self.factory = factory
        self.init = init
        self.repr = repr
        self.compare = compare


def _field(*, default: Any = _MISSING, default_factory: Any = _MISSING, **said: bool) -> _Field:
    return _Field(default, default_factory, **said)


def _dataclass(cls: type | None = None, /, *, frozen: bool = False, slots: bool = False, order: bool = False) -> Any:
    def declare(plain: type) -> Any:
        return _declared(plain, frozen=frozen, slots=slots, order=order)

    return declare if cls is None else declare(cls)


def _declared(plain: type, *, frozen: bool, slots: bool, order: bool) -> Any:
    """The class made anew: slots cannot be given to one that is there, nor may defaults stand where slots shall be."""
    space = dict(plain.__dict__)
    own = {name: space.pop(name, _MISSING) for name in plain.__annotations__ if not _is_of_class(plain, name)}
    inherited: dict[str, _Field] = getattr(plain, _FIELDS, {})
    fields = inherited | {name: said if isinstance(said, _Field) else _Field(said) for name, said in own.items()}
    for name in ("__dict__", "__weakref__"):  # those of the class that this one stands in for
        space.pop(name, None)
    if slots:
        space["__slots__"] = tuple(name for name in own if name not in inherited)
    space[_FIELDS] = fields
    space["__dataclass_fields__"] = _FIELDS_OF_LIBRARY
    space.setdefault("__match_args__", tuple(name for name, field in fields.items() if field.init))
    space.setdefault("__repr__", _shown)
    _compare(space, fields, frozen=frozen, order=order)
    if frozen:
        space["__setattr__"] = space["__delattr__"] = _refuse
    if "__init__" in space:
        return type(plain)(plain.__name__, plain.__bases__, space)

    def settle() -> Callable[..., None]:
        _waiting.pop(made, None)
        made.__init__ = compiled = _compiled(made, fields, frozen)
        return compiled

    space["__init__"] = _first_init(fields, settle)
    made: Any = type(plain)(plain.__name__, plain.__bases__, space)
    _waiting[made] = settle
    return made


def _is_of_class(plain: type, name: str) -> bool:
    return str(plain.__annotations__[name]).startswith("ClassVar")


def _compare(space: dict[str, Any], fields: dict[str, _Field], *, frozen: bool, order: bool) -> None:
    """Equality, order and hash go by the values of fields, in their order."""
    compared = tuple(name for name, field in fields.items() if field.compare)
    space[_VALUES] = attrgetter(*compared) if compared else staticmethod(_nothing)
    if space.get("__hash__") is None:
        space["__hash__"] = _hashed if frozen else None
    space.setdefault("__eq__", _equal)
    if order:
        space |= {"__lt__": _less, "__le__": _at_most}  # the other two are these turned round


def _nothing(_: object) -> tuple[()]:
    return ()


def _equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self.__declared_values__(self) == self.__declared_values__(other)


def _less(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self.__declared_values__(self) < self.__declared_values__(other)


def _at_most(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self.__declared_values__(self) <= self.__declared_values__(other)


def _hashed(self: Any) -> int:
    return hash(self.__declared_values__(self))


def _shown(self: Any) -> str:
    fields: dict[str, _Field] = getattr(self, _FIELDS)
    words = ", ".join(f"{name}={getattr(self, name)!r}" for name, field in fields.items() if field.repr)
    return f"{type(self).__qualname__}({words})"


def _refuse(_: Any, name: str, *value: object) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot {'assign to' if value else 'delete'} field {name!r}")


def _first_init(fields: dict[str, _Field], settle: Callable[[], Callable[..., None]]) -> Callable[..., None]:
    """The `__init__` of a class's first values, which goes through the fields; `settle` puts the compiled one in its
    place. That one also makes values with fields that nobody gives, and knows what to say of those given wrongly.
    """
    defaults = {name: field.default for name, field in fields.items() if field.default is not _MISSING}
    factories = {name: field.factory for name, field in fields.items() if field.factory is not _MISSING}
    left = _FIRST_VALUES if all(field.init for field in fields.values()) else 0

    def init(self: Any, /, *args: Any, **named: Any) -> None:
        nonlocal left
        left -= 1
        values = {**defaults, **dict(zip(fields, args, strict=False)), **named}
        values |= {name: make() for name, make in factories.items() if name not in values}
        twice = named and not named.keys().isdisjoint(tuple(fields)[: len(args)])
        if left < 0 or len(args) > len(fields) or twice or values.keys() != fields.keys():
            settle()(self, *args, **named)
            return
        for name in fields:
            _put(self, name, values[name])
        if hasattr(self, "__post_init__"):
            self.__post_init__()

    return init


def compile_all() -> None:
    """Compile what waits for more values: for a process whose children would each do that again."""
    for settle in tuple(_waiting.values()):
        settle()


def _compiled(cls: type, fields: dict[str, _Field], frozen: bool) -> Callable[..., None]:
    """`__init__` as somebody would write it who had to; of a frozen class past its own `__setattr__`."""
    scope: dict[str, Any] = {"_missing": _MISSING, "_put": _put}
    words, lines = ["self"], []
    for name, field in fields.items():
        value = name
        if field.factory is not _MISSING:
            scope[f"_make_{name}"] = field.factory
            value = f"_make_{name}() if {name} is _missing else {name}" if field.init else f"_make_{name}()"
            default = "=_missing"
        else:
            scope[f"_default_{name}"] = field.default
            value = name if field.init else f"_default_{name}"
            default = "" if field.default is _MISSING else f"=_default_{name}"
        if field.init:
            words.append(name + default)
        elif field.factory is _MISSING and field.default is _MISSING:
            continue  # `__post_init__` gives it
        lines.append(f" _put(self, {name!r}, {value})" if frozen else f" self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    text = f"def __init__({', '.join(words)}):\n" + "\n".join(lines or [" pass"])
    exec(text, scope)  # names of fields and nothing else
    init: Callable[..., None] = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    return init


def types_of(cls: type) -> dict[str, str]:
    """The fields of a class that was declared here, by name, with their types as written; empty for any other class."""
    return {name: _written(cls, name) for name in getattr(cls, _FIELDS, ())}


def _written(cls: type, name: str) -> str:
    return str(next(base.__annotations__[name] for base in cls.__mro__ if name in base.__annotations__))


def is_declared(cls: type) -> bool:
    """Whether values of this class were declared here."""
    return hasattr(cls, _FIELDS)


class _FieldsOfLibrary:
    """`__dataclass_fields__`, by which the standard library knows a dataclass, for whoever looks."""

    def __get__(self, _: object, cls: type) -> object:
        import dataclasses

        said: list[tuple[str, Any, Any]] = []
        for name, field in getattr(cls, _FIELDS).items():
            known = {"default": field.default, "default_factory": field.factory}
            given = {key: value for key, value in known.items() if value is not _MISSING}
            annotation = next(base.__annotations__[name] for base in cls.__mro__ if name in base.__annotations__)
            said.append(
                (name, annotation, dataclasses.field(init=field.init, repr=field.repr, compare=field.compare, **given))
            )
        made = dataclasses.make_dataclass(cls.__name__, said).__dict__["__dataclass_fields__"]
        type.__setattr__(cls, "__dataclass_fields__", made)
        return made


_FIELDS_OF_LIBRARY = _FieldsOfLibrary()


def _replace(value: Any, /, **changes: Any) -> Any:
    for name, field in getattr(value, _FIELDS).items():
        if field.init and name not in changes:
            changes[name] = getattr(value, name)
    return value.__class__(**changes)


if TYPE_CHECKING:  # mypy knows the standard library's, and these are used as those are
    from dataclasses import dataclass, field, replace
else:
    dataclass, field, replace = _dataclass, _field, _replace
