"""Declarations of switches: name, meaning, fields, values, default, group.

The control panel, ``/control``, ``--help``, the documentation and the check of values
read them. This module knows nothing of tenants.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import inspect
import typing as t

from .values import ABSENT
from .values import Values

T = t.TypeVar("T")
Method = t.TypeVar("Method", bound=cabc.Callable[..., t.Any])


@dataclasses.dataclass(frozen=True)
class Group:
    """Switches that belong together: a section of the panel and of the docs.

    :param folded: the panel shows the section when its heading is clicked.
    """

    title: str
    sentence: str
    folded: bool = False


PEOPLE = Group("People", "What happens to a user’s sign-in and tokens.")
POLICIES = Group(
    "Conditional Access", "What the organisation demands before it hands out tokens."
)
FAULTS = Group("Faults", "Answers that go wrong.")
TOKENS = Group("Tokens and keys", "What Entra issues, and with which keys.")
VARIANTS = Group(
    "Variants on the wire", "Answers that differ between services.", folded=True
)
REGISTRATION = Group(
    "App registration", "What the tenant knows of the app and its host.", folded=True
)
PROVIDERS = Group(
    "B2C and other providers",
    "What differs at the B2C tenant, and in the answers of all authorities.",
    folded=True,
)
PLAIN = Group(
    "The plain OpenID provider",
    "What real providers do differently. The defaults are those of strict ones.",
    folded=True,
)
WRITTEN = Group("Answers that you write", "Forged and scripted answers.", folded=True)
RESET = Group("Reset", "Back to the start.")
GROUPS = (
    PEOPLE,
    POLICIES,
    FAULTS,
    TOKENS,
    VARIANTS,
    REGISTRATION,
    PROVIDERS,
    PLAIN,
    WRITTEN,
    RESET,
)


@dataclasses.dataclass(frozen=True)
class Field:
    """One value that a switch takes.

    :param default: the value without it, or before a setting is set.
    :param required: the switch needs it.
    :param spread: it is an object whose members are keywords of the method.
    """

    name: str
    values: Values
    default: t.Any = None
    required: bool = False
    spread: bool = False

    @classmethod
    def of(cls, parameter: inspect.Parameter, values: Values) -> Field:
        """Return the field for a method's parameter."""
        spread = parameter.kind is inspect.Parameter.VAR_KEYWORD
        if spread or parameter.default is not inspect.Parameter.empty:
            default = {} if spread else parameter.default
            return cls(parameter.name, values, default, spread=spread)
        return cls(parameter.name, values, required=True)

    @property
    def label(self) -> str:
        """The name as the panel writes it."""
        return self.name.replace("_", " ").capitalize()


@dataclasses.dataclass(frozen=True)
class Switch:
    """A switch as it is declared.

    :param name: of the emulator's method or attribute, and of ``do`` in JSON.
    :param group: one of ``GROUPS``.
    :param title: the heading of its card on the panel.
    :param sentence: its meaning.
    :param fields: what it takes.
    :param button: the words on its button.
    :param for_one_user: the button stands beside each user; ``{name}`` in it is theirs.
    :param state: a sentence about the value ``{}`` of a setting, or one for on and one
        for off.
    """

    name: str
    group: Group
    title: str
    sentence: str
    fields: tuple[Field, ...] = ()
    button: str = "Set"
    for_one_user: bool = False
    state: str | tuple[str, str] | None = None

    @property
    def is_setting(self) -> bool:
        """Whether it is an attribute of the emulator; else it is a method."""
        return self.state is not None

    def checked(self, given: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Return the fields that are given, if this switch takes them.

        :raises ValueError: a field is missing, unknown, or has a value of another kind.
        """
        fields = {field.name: field for field in self.fields}
        for name, value in given.items():
            if name not in fields:
                known = ", ".join(fields) or "no fields"
                raise ValueError(f"it takes {known}, not {name}")
            fields[name].values.check(name, value)
        for field in self.fields:
            if field.required and field.name not in given:
                raise ValueError(f"it needs {field.name}")
        return dict(given)

    def entered(self, form: cabc.Mapping[str, str]) -> dict[str, t.Any]:
        """Return the fields of a form of the panel, checked.

        :raises ValueError: as ``checked`` does.
        """
        given: dict[str, t.Any] = {n: v for n, v in form.items() if n != "do"}
        for field in self.fields:
            given[field.name] = field.values.entered(form.get(field.name))
        return self.checked({n: v for n, v in given.items() if v is not ABSENT})

    def label(self, now: t.Any) -> str:
        """Return the words on the button, given the value that a setting has now."""
        if isinstance(self.state, tuple):
            return "Turn off" if now else "Turn on"
        return self.button

    def says(self, value: t.Any) -> str:
        """Return the sentence about the value that a setting has now."""
        if isinstance(self.state, tuple):
            return self.state[0 if value else 1]
        if isinstance(value, (set, frozenset)):
            value = ", ".join(sorted(value))
        return (self.state or "").format("none" if value in (None, "") else value)


#: Every declared switch by its name.
SWITCHES: dict[str, Switch] = {}


def switch(
    group: Group,
    title: str,
    button: str = "",
    *,
    for_one_user: bool = False,
    **fields: Values,
) -> cabc.Callable[[Method], Method]:
    """Declare a method as a switch.

    Its docstring begins with the sentence, its parameters have the defaults.
    """

    def declare(method: Method) -> Method:
        parameters = inspect.signature(method).parameters
        taken = tuple(Field.of(parameters[n], values) for n, values in fields.items())
        name = method.__name__
        doc = inspect.getdoc(method) or ""
        sentence = doc.partition("\n\n")[0].replace("``", "").replace("\n", " ")
        SWITCHES[name] = Switch(
            name, group, title, sentence, taken, button or title, for_one_user
        )
        return method

    return declare


class Setting(t.Generic[T]):
    """A declared attribute that keeps a value, which it checks when it is set.

    The object that it belongs to has the values as ``setting_values``.
    """

    def __init__(
        self,
        default: T,
        values: Values,
        group: Group,
        title: str,
        sentence: str,
        state: str | tuple[str, str],
    ) -> None:
        self.default, self.values = default, values
        self._declared = (group, title, sentence)
        self._state = state
        self.__doc__ = sentence

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        field = Field("value", self.values, self.default, required=True)
        SWITCHES[name] = Switch(name, *self._declared, (field,), state=self._state)

    @t.overload
    def __get__(self, owner: None, kind: type) -> Setting[T]: ...
    @t.overload
    def __get__(self, owner: HasSettings, kind: type) -> T: ...
    def __get__(self, owner: HasSettings | None, kind: type) -> Setting[T] | T:
        if owner is None:
            return self
        return t.cast(T, owner.setting_values.get(self._name, self.default))

    def __set__(self, owner: HasSettings, value: T) -> None:
        self.values.check(self._name, value)
        owner.setting_values[self._name] = self.values.kept(value)


class HasSettings(t.Protocol):
    """An object with settings."""

    @property
    def setting_values(self) -> dict[str, t.Any]: ...
