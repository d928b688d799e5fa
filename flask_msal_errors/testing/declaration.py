"""Declarations of switches: name, meaning, fields, values, default, group.

The control panel, ``/control``, ``--help``, the documentation and the check of values
read them. This module knows nothing of tenants.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import functools
import inspect
import typing as t

from .values import ABSENT
from .values import Values

T = t.TypeVar("T")
Method = t.TypeVar("Method", bound=cabc.Callable[..., t.Any])


@dataclasses.dataclass(frozen=True)
class Group:
    """Switches for one thing to rehearse: a section of the panel and of the docs.

    :param then: what to try after one of them was flipped, unless it says that itself.
    """

    title: str
    sentence: str
    then: str


PEOPLE = Group(
    "A session is revoked, or too old",
    "A user’s sign-in or tokens end while the app still has them.",
    "Reload a page of your app that calls an API: it asks the user to sign in once"
    " more, and comes back to the same page.",
)
POLICIES = Group(
    "MFA, more proof or a block is demanded",
    "What the organisation’s Conditional Access demands before it hands out tokens.",
    "It counts at the next token. Sign in in a private window; or move the user to"
    " another address, and reload a page of your app that calls an API. A page of Entra"
    " asks once for what is missing.",
)
CONSENT = Group(
    "Consent is missing",
    "What users have allowed the app to do in their name.",
    "Open a page of your app that needs the scope.",
)
FAULTS = Group(
    "Entra or an API is throttled, down or slow",
    "Answers that come late, wrong or not at all.",
    "Open your app, signed in and as a new visitor. Its pages say what is wrong, and"
    " when to come back.",
)
MEMBERSHIP = Group(
    "Roles and groups change",
    "What tokens say that people may do in the app.",
    "Sign in again: roles and groups come with a new ID token. A session that stays"
    " open has them after MSAL_RECHECK.",
)
TOKENS = Group(
    "Tokens expire, keys and clocks change",
    "What Entra issues, and with which keys.",
    "Reload a page of your app that calls an API, and sign in again in a private"
    " window.",
)
REGISTRATION = Group(
    "The app registration changes",
    "What the tenant knows of the app and its host.",
    "Sign in again in a private window. If it fails, the page names no details, and the"
    " app’s log says what to correct.",
)
VARIANTS = Group(
    "Answers take other forms",
    "Details on the wire that differ between services.",
    "Repeat what you did before: your app should do the same.",
)
PROVIDERS = Group(
    "B2C and other providers",
    "What differs at the B2C tenant, and in the answers of all authorities.",
    "Sign in again at that authority.",
)
PLAIN = Group(
    "The plain OpenID provider",
    "What real providers do differently. The defaults are those of strict ones.",
    "Sign in again at that provider.",
)
WRITTEN = Group(
    "An answer that you write",
    "Forged and scripted answers.",
    "Do what lets your app ask there next.",
)
RESET = Group(
    "Reset",
    "Back to the start.",
    "Open your app, and sign in. An app that was throttled before may still wait.",
)
GROUPS = (
    PEOPLE,
    POLICIES,
    CONSENT,
    FAULTS,
    MEMBERSHIP,
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
    :param done: a sentence about what has changed, with the fields in braces.
    :param question: the panel asks it before it flips the switch.
    :param for_one_user: there is a button for each user; ``{name}`` in it is theirs.
    :param then: what to try after it was flipped, where the group's words do not fit.
    :param state: a sentence about the value ``{}`` of a setting, or one for on and one
        for off.
    """

    name: str
    group: Group
    title: str
    sentence: str
    fields: tuple[Field, ...] = ()
    button: str = "Set"
    done: str = ""
    question: str = ""
    for_one_user: bool = False
    then: str = ""
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

    def changed(self, given: cabc.Mapping[str, t.Any]) -> str:
        """Return a sentence about what has changed.

        :param given: the fields as the switch was flipped with them; of a person, the
            name.
        """
        if self.is_setting:
            return f"{self.title}: {self.says(given['value'])}"
        values = {field.name: given.get(field.name) for field in self.fields}
        for field in self.fields:
            if values[field.name] is None:
                values[field.name] = field.default or field.values.none
            values[field.name] = field.values.said(values[field.name])
        return self.done.format(**values)

    def now(self, value: t.Any) -> str:
        """Return what the panel says after the meaning: what holds now."""
        said = self.says(value)
        if not isinstance(self.state, tuple):
            return said
        return f"Now {'on' if value else 'off'}: {said[0].lower()}{said[1:]}"

    def says(self, value: t.Any) -> str:
        """Return the sentence about the value that a setting has now."""
        if isinstance(self.state, tuple):
            return self.state[0 if value else 1]
        if isinstance(value, dict):
            value = [f"{name} as {other}" for name, other in value.items()]
        if isinstance(value, (set, frozenset)):
            value = sorted(value)
        if isinstance(value, (list, tuple)):
            value = ", ".join(value)
        return (self.state or "").format("none" if value in (None, "") else value)


#: Every declared switch by its name.
SWITCHES: dict[str, Switch] = {}


def _checking(method: Method, values: cabc.Mapping[str, Values]) -> Method:
    """Return a method that refuses what its fields do not take.

    Objects, such as users and functions, are its own to judge, as ``None`` is.

    :raises ValueError: from the method, as ``Values.check`` does.
    """
    signature = inspect.signature(method)

    @functools.wraps(method)
    def checked(*args: t.Any, **kwargs: t.Any) -> t.Any:
        given = signature.bind(*args, **kwargs).arguments
        for name, kind in values.items():
            if isinstance(given.get(name), (str, int, float)):
                kind.check(name, given[name])
        return method(*args, **kwargs)

    return t.cast(Method, checked)


def switch(
    group: Group,
    title: str,
    button: str = "",
    /,
    *,
    done: str,
    question: str = "",
    for_one_user: bool = False,
    then: str = "",
    **fields: Values,
) -> cabc.Callable[[Method], Method]:
    """Declare a method as a switch.

    Its docstring begins with the sentence, its parameters have the defaults.

    :param done: as ``Switch`` has it; ``question``, ``for_one_user`` and ``then``, too.
    """

    def declare(method: Method) -> Method:
        method = _checking(method, fields)
        parameters = inspect.signature(method).parameters
        taken = tuple(Field.of(parameters[n], values) for n, values in fields.items())
        name = method.__name__
        doc = inspect.getdoc(method) or ""
        sentence = doc.partition("\n\n")[0].replace("``", "").replace("\n", " ")
        SWITCHES[name] = Switch(
            name,
            group,
            title,
            sentence,
            taken,
            button or title,
            done,
            question,
            for_one_user,
            then,
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
