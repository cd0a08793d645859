"""Tests of declared values: in all that this program does with them they are the standard library's dataclasses."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest

from builder.declare import compile_all, dataclass, field, is_declared, replace, types_of


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A frozen value with defaults."""

    name: str
    number: int = 3
    parts: tuple[str, ...] = ()
    LIMIT: ClassVar[int] = 9


@dataclass(frozen=True, slots=True)
class Near(Place):
    """One that adds a field to another's."""

    distance: int = 0


@dataclass(slots=True)
class Count:
    """One that changes."""

    seen: list[int] = field(default_factory=list)
    hidden: str = field(default="secret", repr=False, compare=False)
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.total = len(self.seen)


def test_fields_are_given_by_place_or_name() -> None:
    """Fields are given in their order or by name, and defaults stand for those that are left out."""
    assert Place("a", 1, ("x",)) == Place(parts=("x",), number=1, name="a")
    assert (Place("a").number, Place("a").parts, Place.LIMIT) == (3, (), 9)


def test_the_first_values_are_like_the_later_ones() -> None:
    """Whether its class was compiled already cannot be seen in a value."""

    @dataclass(frozen=True, slots=True)
    class Late:
        """One of which nobody has made a value."""

        name: str
        number: int = 3

        def __post_init__(self) -> None:
            made.append(self.name)

    made: list[str] = []
    before = Late.__init__
    first = [Late("a"), Late(name="a", number=3), Late("a", number=3)]
    assert Late.__init__ is before
    assert {*first, *(Late("a") for _ in range(100))} == {Late("a", 3)}
    assert Late.__init__ is not before
    assert len(made) == 104


def test_a_class_on_top_may_have_an_init_of_its_own() -> None:
    """It passes on what it likes, and is called once for each value."""

    @dataclass(slots=True)
    class Base:
        """It has a list of its own, so that its first value is compiled."""

        name: str
        seen: list[int] = field(default_factory=list)

    class Counted(Base):
        """No value, but made on one."""

        def __init__(self, number: int) -> None:
            super().__init__(f"n{number}")

    assert [Counted(number).name for number in (1, 2)] == ["n1", "n2"]


@pytest.mark.parametrize(
    "words", [((), {}), (("a", 1, (), 5), {}), (("a",), {"nmae": 1}), (("a",), {"name": "b"}), ((), {"number": 1})]
)
def test_wrong_fields_are_refused(words: tuple[tuple[object, ...], dict[str, object]]) -> None:
    """One that lacks, is there twice, is one too many or that nobody knows is a TypeError, first and later."""
    for _ in range(2):
        with pytest.raises(TypeError):
            Place(*words[0], **words[1])  # type: ignore[arg-type]  # that is the test


def test_a_frozen_value_stays() -> None:
    """Nothing is assigned to, added to, or deleted from a frozen value."""
    place = Place("a")
    for name in ("name", "other"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(place, name, "b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        del place.name
    assert not hasattr(place, "__dict__")


def test_equal_values_are_of_one_class() -> None:
    """Values are equal, and have one hash, by their class and their fields."""
    assert Place("a") == Place("a") != Place("b")
    assert hash(Place("a")) == hash(Place("a"))
    assert Place("a") != Near("a")


def test_what_changes_has_no_hash() -> None:
    """A value that may change is no key; fields that do not count are not compared."""
    assert Count([1]) == Count([1], hidden="other") != Count([2])
    with pytest.raises(TypeError):
        hash(Count())


def test_values_have_an_order_where_it_is_declared() -> None:
    """The order is that of the fields, one after the other; of a class without one it is a TypeError."""
    assert sorted([Place("b"), Place("a", 5), Place("a", 4)]) == [Place("a", 4), Place("a", 5), Place("b")]
    assert Place("b") > Place("a") and Place("a") >= Place("a") and Place("a") <= Place("b")
    with pytest.raises(TypeError):
        assert Count() < Count()  # type: ignore[operator]  # that is the test


def test_what_is_made_is_made_anew() -> None:
    """Each value has a list of its own, and what its `__post_init__` gives."""
    one, other = Count(), Count([1, 2])
    one.seen.append(1)
    assert (Count().seen, other.total) == ([], 2)


def test_a_value_is_shown_with_its_fields() -> None:
    """The repr has the fields by name, without those that are not to be shown."""
    assert repr(Near("a", distance=2)) == "Near(name='a', number=3, parts=(), distance=2)"
    assert repr(Count([1])) == "Count(seen=[1], total=1)"


def test_values_are_matched_and_replaced() -> None:
    """Patterns go by the order of the fields, and a copy may differ in some of them."""
    match replace(Near("a", distance=1), name="b"):
        case Near(name, number, _, distance):
            assert (name, number, distance) == ("b", 3, 1)
        case _:
            pytest.fail("it did not match")


def test_the_standard_library_takes_them_for_its_own() -> None:
    """`dataclasses` finds the fields, copies the values, and turns them into dictionaries."""
    assert dataclasses.is_dataclass(Near)
    assert [one.name for one in dataclasses.fields(Near)] == ["name", "number", "parts", "distance"]
    assert dataclasses.replace(Near("a"), name="b") == Near("b")
    assert dataclasses.asdict(Place("a", 1)) == {"name": "a", "number": 1, "parts": ()}


def test_types_are_known_as_written() -> None:
    """The fields of a class are known with their types as written; of any other class there are none."""
    assert types_of(Near) == {"name": "str", "number": "int", "parts": "tuple[str, ...]", "distance": "int"}
    assert is_declared(Near) and not is_declared(str) and types_of(str) == {}


def test_all_that_waits_can_be_compiled_at_once() -> None:
    """A process whose children make values has their classes compiled before they are forked."""

    @dataclass(frozen=True, slots=True)
    class Late:
        """One of which nobody has made a value."""

        name: str

    before = Late.__init__
    compile_all()
    assert Late.__init__ is not before
    assert Late("a") == Late(name="a")
