"""An Avro schema with its names resolved: what every field is, whatever way the schema spells it.

Salesforce's schemas define a record once and name it afterwards, and give some enums an empty namespace, so
that strict rules would not find them again. Names are looked up in the namespace first and bare after that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cdc.errors import Undecodable

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})

DEPTH_MAX = 32
"""Types inside types; Salesforce uses four. Anything deeper is an attack or a mistake."""


@dataclass(frozen=True, slots=True)
class Primitive:
    name: str


@dataclass(frozen=True, slots=True)
class Enum:
    name: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fixed:
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Array:
    items: AvroType


@dataclass(frozen=True, slots=True)
class Map:
    values: AvroType


@dataclass(frozen=True, slots=True)
class Union:
    branches: tuple[AvroType, ...]


@dataclass(frozen=True, slots=True)
class RecordField:
    """`doc` is the type Salesforce means, without role and field id: `DateOnly`, `MultiEnum`; or empty."""

    name: str
    type: AvroType
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """`name` is the full name, with its namespace."""

    name: str
    fields: tuple[RecordField, ...]


AvroType = Primitive | Enum | Fixed | Array | Map | Union | Record


def resolve(declared: Any) -> AvroType:
    """The type a parsed schema JSON declares. Undecodable says what in it cannot be understood."""
    return _Resolver({}).resolve(declared, "", 0)


def declaration(type_: AvroType) -> Any:
    """The type as plain schema JSON: no docs, no defaults, names without dots, each defined once."""
    return _declare(type_, set())


def beside_null(type_: AvroType) -> tuple[AvroType, ...]:
    """The branches of a union other than null; the type itself where it is no union."""
    if isinstance(type_, Union):
        return tuple(branch for branch in type_.branches if branch != Primitive("null"))
    return (type_,)


@dataclass(slots=True)
class _Resolver:
    named: dict[str, AvroType | None]  # None while its own fields are being read

    def resolve(self, declared: Any, namespace: str, depth: int) -> AvroType:
        if depth > DEPTH_MAX:
            raise Undecodable(f"types are nested more than {DEPTH_MAX} deep")
        if isinstance(declared, str):
            return Primitive(declared) if declared in PRIMITIVES else self._named(declared, namespace)
        if isinstance(declared, list):
            return Union(tuple(self.resolve(branch, namespace, depth + 1) for branch in declared))
        if not isinstance(declared, Mapping):
            raise Undecodable(f"{declared!r} is no Avro type")
        return self._complex(declared, namespace, depth)

    def _complex(self, declared: Mapping[str, Any], namespace: str, depth: int) -> AvroType:
        match declared.get("type"):
            case "array":
                return Array(self.resolve(declared.get("items"), namespace, depth + 1))
            case "map":
                return Map(self.resolve(declared.get("values"), namespace, depth + 1))
            case "record" | "enum" | "fixed" as shape:
                return self._definition(shape, declared, namespace, depth)
            case other:  # {"type": "string", …}: a type with attributes
                return self.resolve(other, namespace, depth + 1)

    def _definition(self, shape: str, declared: Mapping[str, Any], namespace: str, depth: int) -> AvroType:
        name = declared.get("name")
        if not isinstance(name, str) or not name:
            raise Undecodable(f"a {shape} has no name")
        inner = str(declared.get("namespace", namespace) or "")
        full = name if "." in name or not inner else f"{inner}.{name}"
        if full in self.named:
            raise Undecodable(f"{full} is defined twice")
        self.named[full] = None
        defined: AvroType
        try:
            if shape == "enum":
                defined = Enum(full, tuple(str(symbol) for symbol in declared["symbols"]))
            elif shape == "fixed":
                defined = Fixed(full, int(declared["size"]))
            else:
                inside = full.rpartition(".")[0]
                defined = Record(full, tuple(self._field(f, inside, depth) for f in declared["fields"]))
        except (KeyError, TypeError, ValueError) as e:
            raise Undecodable(f"the definition of {full} is incomplete: {e!r}") from e
        self.named[full] = defined
        return defined

    def _field(self, declared: Mapping[str, Any], namespace: str, depth: int) -> RecordField:
        type_ = self.resolve(declared["type"], namespace, depth + 1)
        return RecordField(str(declared["name"]), type_, _meant(declared.get("doc")))

    def _named(self, name: str, namespace: str) -> AvroType:
        bare = name.rpartition(".")[2]
        for full in (f"{namespace}.{name}" if namespace else name, name, bare):
            if full in self.named:
                found = self.named[full]
                if found is None:
                    raise Undecodable(f"{full} contains itself")
                return found
        raise Undecodable(f"type {name} is used and not defined")


def _meant(doc: Any) -> str:
    """`Data:DateOnly:00NDp000009Rr9I` is role, type, field id."""
    parts = doc.split(":") if isinstance(doc, str) else []
    return parts[1] if len(parts) > 1 else ""


def _declare(type_: AvroType, defined: set[str]) -> Any:
    match type_:
        case Primitive(name):
            return name
        case Array(items):
            return {"type": "array", "items": _declare(items, defined)}
        case Map(values):
            return {"type": "map", "values": _declare(values, defined)}
        case Union(branches):
            return [_declare(branch, defined) for branch in branches]
    name = type_.name.replace(".", "_")
    if name in defined:
        return name
    defined.add(name)
    match type_:
        case Enum(_, symbols):
            return {"type": "enum", "name": name, "symbols": list(symbols)}
        case Fixed(_, size):
            return {"type": "fixed", "name": name, "size": size}
        case Record(_, fields):
            return {
                "type": "record",
                "name": name,
                "fields": [{"name": f.name, "type": _declare(f.type, defined)} for f in fields],
            }
