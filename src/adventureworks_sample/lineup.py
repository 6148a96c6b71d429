"""The product line-up: 37 invented subcategories and 116 product families (models)."""

from __future__ import annotations

from typing import NamedTuple


def _words(text: str) -> list[str]:
    return text.split()


CATEGORIES = ("Bikes", "Components", "Clothing", "Accessories")

SUBCATEGORIES: tuple[tuple[int, str, str], ...] = (
    (1, "Mountain Bikes", "BM"),
    (1, "Road Bikes", "BR"),
    (1, "Touring Bikes", "BT"),
    (2, "Handlebars", "HB"),
    (2, "Bottom Brackets", "BB"),
    (2, "Brakes", "BK"),
    (2, "Chains", "CH"),
    (2, "Cranksets", "CS"),
    (2, "Derailleurs", "DL"),
    (2, "Forks", "FK"),
    (2, "Headsets", "HS"),
    (2, "Mountain Frames", "FM"),
    (2, "Pedals", "PD"),
    (2, "Road Frames", "FR"),
    (2, "Saddles", "SD"),
    (2, "Touring Frames", "FT"),
    (2, "Wheels", "WH"),
    (3, "Bib-Shorts", "CB"),
    (3, "Caps", "CC"),
    (3, "Gloves", "CG"),
    (3, "Jerseys", "CJ"),
    (3, "Shorts", "CR"),
    (3, "Socks", "CK"),
    (3, "Tights", "CT"),
    (3, "Vests", "CV"),
    (4, "Bike Racks", "AR"),
    (4, "Bike Stands", "AS"),
    (4, "Bottles and Cages", "AB"),
    (4, "Cleaners", "AC"),
    (4, "Fenders", "AF"),
    (4, "Helmets", "AH"),
    (4, "Hydration Packs", "AY"),
    (4, "Lights", "AL"),
    (4, "Locks", "AK"),
    (4, "Panniers", "AP"),
    (4, "Pumps", "AU"),
    (4, "Tires and Tubes", "AT"),
)
"""Category, name, and prefix of the product numbers."""

PART_WORDS = _words(
    "Bearing Bolt Bracket Bushing Clamp Collar Cone Cup Disc Dowel Ferrule Flange Gasket Grommet Hub Insert Key Lever "
    "Lug Nut Pin Plate Rail Rim Ring Rivet Rod Screw Shaft Shim Sleeve Spacer Spindle Spoke Spring Stud Tube Washer"
)


class Family(NamedTuple):
    """A model, whose products differ in colour and size. `price` is the current or last price in whole dollars."""

    name: str
    subcategory: int
    price: int
    colours: tuple[str | None, ...] = (None,)
    sizes: tuple[str | None, ...] = (None,)
    eras: tuple[int, int] = (2, 2)
    """First and last price era, of three, in which it is sold."""
    shelved: bool = False
    """Whether it was never sold, so that it has no price history."""


_SMALL = ("38", "42", "44", "46", "48")
_LARGE = ("44", "48", "52", "56", "58", "60")
_BODY = ("S", "M", "L")

_BIKES = (
    Family("Boulder Pro", 1, 3290, ("Black", "Silver"), _SMALL[:4], (0, 0)),
    Family("Boulder Sport", 1, 2240, ("Black", "Silver"), _SMALL[:3], (1, 2)),
    Family("Scree", 1, 1060, ("Black",), _SMALL[:4], (1, 1)),
    Family("Gravelling", 1, 749, ("Black",), _SMALL),
    Family("Foothill", 1, 529, ("Black", "Silver", "Blue"), _SMALL[:3]),
    Family("Peloton Pro", 2, 3499, ("Red",), _LARGE[:5], (0, 0)),
    Family("Peloton", 2, 2390, ("Red", "Black"), _LARGE[:4], (1, 1)),
    Family("Milestone", 2, 769, ("Red", "Black"), _LARGE, (0, 1)),
    Family("Criterium", 2, 1749, ("Black", "Yellow"), _LARGE[:4]),
    Family("Breakaway", 2, 1660, ("Red",), _LARGE[:4]),
    Family("Sportive", 2, 1090, ("Yellow",), _LARGE),
    Family("Voyage", 3, 2310, ("Blue", "Yellow"), _LARGE[:4]),
    Family("Wayfarer", 3, 1190, ("Blue",), _LARGE[:4]),
    Family("Rambler", 3, 725, ("Blue", "Yellow"), _LARGE[:5]),
)

_FRAMES = (
    Family("Boulder Pro Frame", 12, 1290, ("Black", "Silver"), _SMALL[:4], (0, 0)),
    Family("Boulder Frame", 12, 1330, ("Black", "Silver"), (*_SMALL, "40"), (1, 2)),
    Family("Foothill Frame", 12, 243, ("Black", "Silver"), _SMALL[:4]),
    Family("Peloton Frame", 14, 1399, ("Red",), (*_LARGE, "62", "50", "54", "46", "42"), (0, 1)),
    Family("Criterium Frame", 14, 579, ("Black", "Red"), _LARGE),
    Family("Milestone Frame", 14, 329, ("Black", "Red"), _LARGE[:5]),
    Family("Voyage Frame", 16, 979, ("Blue", "Yellow"), _LARGE[:4]),
    Family("Rambler Frame", 16, 325, ("Blue", "Yellow"), _LARGE[:5]),
)


def _grades(subcategory: int, thing: str, prices: dict[str, int], eras: tuple[int, int]) -> tuple[Family, ...]:
    """Return one family with one product for each grade."""
    return tuple(Family(f"{grade} {thing}", subcategory, price, eras=eras) for grade, price in prices.items())


_COMPONENTS = (
    *_grades(4, "Mountain Handlebar", {"Basic": 43, "Plain": 52, "Fine": 61, "Top": 119}, (1, 2)),
    *_grades(4, "Road Handlebar", {"Basic": 44, "Plain": 58, "Fine": 66, "Top": 118}, (1, 2)),
    *_grades(5, "Bottom Bracket", {"Basic": 52, "Fine": 99, "Top": 119}, (2, 2)),
    *_grades(6, "Brake", {"Front": 104, "Rear": 104}, (2, 2)),
    *_grades(7, "Chain", {"Steel": 19}, (2, 2)),
    *_grades(8, "Crankset", {"Basic": 171, "Fine": 249, "Top": 398}, (2, 2)),
    *_grades(9, "Gear Changer", {"Front": 89, "Rear": 119}, (2, 2)),
    *_grades(10, "Fork", {"Basic": 144, "Fine": 171, "Top": 224}, (1, 1)),
    *_grades(11, "Headset", {"Basic": 33, "Fine": 99, "Top": 121}, (1, 1)),
    *_grades(
        13, "Pedal", {"Flat": 39, "Grip": 45, "Cage": 49, "Clip": 59, "Trail": 62, "Race": 78, "Tour": 79}, (2, 2)
    ),
    *_grades(15, "Mountain Saddle", {"Basic": 26, "Fine": 38, "Top": 51}, (2, 2)),
    *_grades(15, "Road Saddle", {"Basic": 27, "Fine": 38, "Top": 51}, (2, 2)),
    *_grades(15, "Touring Saddle", {"Basic": 26, "Fine": 37, "Top": 50}, (2, 2)),
    *_grades(17, "Mountain Wheel", {"Front Basic": 60, "Front Fine": 204, "Front Top": 294, "Rear Basic": 86}, (1, 1)),
    *_grades(17, "Mountain Rim", {"Rear Fine": 228, "Rear Top": 318}, (1, 1)),
    *_grades(17, "Road Wheel", {"Front Basic": 84, "Front Fine": 241, "Front Top": 322, "Rear Basic": 110}, (1, 1)),
    *_grades(17, "Road Rim", {"Rear Fine": 268, "Rear Top": 349}, (1, 1)),
    *_grades(17, "Touring Wheel", {"Front": 213, "Rear": 239}, (1, 1)),
)

_CLOTHING = (
    Family("Randonneur Bib", 18, 87, ("Multi",), _BODY, (1, 1)),
    Family("Team Cap", 19, 8, ("Multi",), eras=(0, 2)),
    Family("Summer Gloves", 20, 23, ("Black",), _BODY, (1, 2)),
    Family("Winter Gloves", 20, 37, ("Black",), _BODY, (1, 1)),
    Family("Long-Sleeve Jersey", 21, 48, ("Multi",), (*_BODY, "XL"), (0, 2)),
    Family("Race Jersey", 21, 53, ("Yellow",), (*_BODY, "XL")),
    Family("Men's Shorts", 22, 58, ("Multi",), (*_BODY, "XL"), (1, 1)),
    Family("Women's Shorts", 22, 68, ("Black",), _BODY),
    Family("Trail Socks", 23, 9, ("White",), ("M", "L"), (0, 0)),
    Family("Race Socks", 23, 8, ("White",), ("M", "L")),
    Family("Thermal Tights", 24, 73, ("Black",), _BODY, (1, 1)),
    Family("Wind Vest", 25, 62, ("Blue",), _BODY),
)

_ACCESSORIES = (
    Family("Hitch Rack", 26, 118),
    Family("Repair Stand", 27, 155),
    Family("Drinking Bottle", 28, 4),
    Family("Trail Bottle Holder", 28, 9),
    Family("Road Bottle Holder", 28, 8),
    Family("Frame Shampoo", 29, 7),
    Family("Mountain Fender", 30, 21),
    Family("City Helmet", 31, 33, ("Black", "Blue", "Red"), eras=(0, 2)),
    Family("Day Hydration Pack", 32, 53, ("Silver",)),
    Family("Front Light", 33, 43, eras=(1, 1), shelved=True),
    Family("Rear Light", 33, 14, eras=(1, 1)),
    Family("Twin Light", 33, 34, eras=(1, 1)),
    Family("Coil Lock", 34, 24, eras=(1, 1)),
    Family("Touring Pannier", 35, 121, ("Grey",), eras=(1, 1), shelved=True),
    Family("Mini Pump", 36, 19, eras=(1, 1)),
    Family("Frame Pump", 36, 24, eras=(1, 1)),
    *_grades(37, "Mountain Tire", {"Basic": 23, "Fine": 29, "Top": 34}, (2, 2)),
    *_grades(37, "Road Tire", {"Basic": 20, "Fine": 24, "Top": 32}, (2, 2)),
    *_grades(37, "Touring Tire", {"All-Weather": 28}, (2, 2)),
    *_grades(37, "Inner Tube", {"Mountain": 4, "Road": 3, "Touring": 4}, (2, 2)),
    *_grades(37, "Repair Kit", {"Pocket": 2}, (2, 2)),
)

LINE_UP: tuple[Family, ...] = (*_BIKES, *_FRAMES, *_COMPONENTS, *_CLOTHING, *_ACCESSORIES)
"""Families in the order of their models."""
