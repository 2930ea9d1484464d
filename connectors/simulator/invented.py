"""Invented values for the fields of records: companies and products, numbered contacts, places."""

from __future__ import annotations

from random import Random
from typing import Any

from connectors.simulator.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from connectors.simulator.entities import Entity
from connectors.simulator.fields import Leaf

PERSON_RECORD_TYPE = "012Sm0000000002IAA"
BUSINESS_RECORD_TYPE = "012Sm0000000001IAA"

_FIRST = ("North", "Blue", "Summit", "Harbour", "Cedar", "Granite", "Silver", "Delta", "Orchard", "Beacon")
_SECOND = (
    "Freight",
    "Foods",
    "Systems",
    "Energy",
    "Textiles",
    "Medical",
    "Press",
    "Works",
    "Marine",
    "Glass",
)
_FORM = ("Ltd", "GmbH", "Inc", "SA", "plc")
_STREETS = ("Station Road", "Mill Lane", "Harbour Street", "Market Square", "Canal Side", "Ring Road")
_WORDS = ("quote", "renewal", "sample", "invoice", "site visit", "training", "upgrade", "contract", "review")
_TITLES = ("Buyer", "Head of Purchasing", "Plant Manager", "Controller", "IT Manager", "Office Manager")
_DEPARTMENTS = ("Purchasing", "Finance", "Operations", "IT", "Logistics")

_PLACES = (
    ("Hamburg", "Hamburg", "Germany", "DE", "20095", 53.55, 9.99),
    ("Lyon", "Rhône", "France", "FR", "69001", 45.76, 4.84),
    ("Leeds", "West Yorkshire", "United Kingdom", "GB", "LS1 4DY", 53.8, -1.55),
    ("Porto", "Porto", "Portugal", "PT", "4000-322", 41.15, -8.61),
    ("Austin", "Texas", "United States", "US", "78701", 30.27, -97.74),
    ("Osaka", "Ōsaka", "Japan", "JP", "530-0001", 34.69, 135.5),
    ("Toronto", "Ontario", "Canada", "CA", "M5H 2N2", 43.65, -79.38),
)


class Inventor:
    """Draws values from one source of randomness, counting what it numbers."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._numbers = 0

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def company(self) -> str:
        choose = self.random.choice
        return f"{choose(_FIRST)} {choose(_SECOND)} {self.number()} {choose(_FORM)}"

    def contact_name(self, kind: str = "Contact") -> dict[str, Any]:
        """Parts of a person's name by path: people are numbered, not named."""
        return {
            "Name.Salutation": self.random.choice((None, "Ms.", "Mr.", "Dr.")),
            "Name.FirstName": kind,
            "Name.LastName": f"Number {self.number()}",
        }

    def phone(self) -> str:
        return f"+44 20 7946 {self.random.randrange(10_000):04d}"

    def email(self) -> str:
        return f"contact{self.number()}@example.com"

    def address(self, field: str, *, geocoded: bool = False) -> dict[str, Any]:
        """Parts of an address by path."""
        city, state, country, code, postal, latitude, longitude = self.random.choice(_PLACES)
        made: dict[str, Any] = {
            f"{field}.Street": self.street(),
            f"{field}.City": city,
            f"{field}.State": state,
            f"{field}.PostalCode": postal,
            f"{field}.Country": country,
            f"{field}.CountryCode": code,
        }
        if geocoded:
            made[f"{field}.Latitude"] = latitude
            made[f"{field}.Longitude"] = longitude
            made[f"{field}.GeocodeAccuracy"] = "Street"
        return made

    def street(self) -> str:
        return f"{self.random.randint(1, 240)} {self.random.choice(_STREETS)}"

    def coordinates(self) -> tuple[float, float]:
        place = self.random.choice(_PLACES)
        return (
            round(place[5] + self.random.random() / 50, 6),
            round(place[6] + self.random.random() / 50, 6),
        )

    def sentence(self) -> str:
        words = self.random.sample(_WORDS, 3)
        return f"{words[0].capitalize()} {words[1]} and {words[2]} {self.number()}"

    def title(self) -> str:
        return self.random.choice(_TITLES)

    def department(self) -> str:
        return self.random.choice(_DEPARTMENTS)

    def money(self, low: float, high: float) -> float:
        return round(self.random.uniform(low, high), 2)

    def day(self, now_ms: int, low: int, high: int) -> int:
        """A date so many days from now."""
        return (now_ms // DAY_MS + self.random.randint(low, high)) * DAY_MS

    def pick(self, entity: Entity, path: str) -> str:
        """One of the values of a picklist."""
        return self.random.choice(entity.leaves[path].field.picklist)

    def value(self, entity: Entity, leaf: Leaf, now_ms: int) -> Any:
        """Some value that fits a field, whatever the field."""
        field = leaf.field
        random = self.random
        if field.doc_type == "MultiEnum":
            chosen = random.sample(field.picklist, random.randint(1, min(3, len(field.picklist))))
            return ";".join(value for value in field.picklist if value in chosen)
        if field.picklist:
            return random.choice(field.picklist)
        if leaf.described in _NUMBERS:
            low, high, digits = _NUMBERS[leaf.described]
            number = round(random.uniform(low, high), digits)
            return int(number) if leaf.described == "int" else number
        if leaf.described == "boolean":
            return random.random() < 0.5
        if leaf.described == "date":
            return self.day(now_ms, -300, 300)
        if leaf.described == "datetime":
            return now_ms - now_ms % SECOND_MS - random.randrange(1_000) * MINUTE_MS
        if leaf.described == "time":
            return random.randrange(24) * HOUR_MS + random.randrange(4) * 15 * MINUTE_MS
        if leaf.described == "phone":
            return self.phone()
        if leaf.described == "email":
            return self.email()
        if leaf.described == "url":
            return f"https://www.example.com/{self.number()}"
        return self.sentence()


_NUMBERS = {
    "int": (1, 20_000, 0),
    "double": (1, 5_000, 1),
    "currency": (500, 2_000_000, 2),
    "percent": (0, 100, 1),
}
