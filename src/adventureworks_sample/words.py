"""Words for the names of persons, streets and towns. All are invented or too common to identify anybody."""

from __future__ import annotations


def _words(text: str) -> list[str]:
    return text.split()


FIRST_NAMES_F = _words(
    "Ada Agnes Alba Amara Anika Ariane Astrid Aurora Beatrice Berta Blanca Bridget Camille Carla Celia Chiara Clara "
    "Cordelia Daphne Delia Edith Elena Elsa Emilia Erin Esme Fatima Fleur Flora Freya Gemma Greta Hanna Hazel Hilda "
    "Ida Imogen Ines Ingrid Iris Isolde Ivy Jana June Karin Keiko Lara Leila Lena Linnea Lotte Lucia Mabel Maren Mei "
    "Mina Nadia Naomi Nell Nina Noor Olga Petra Pia Priya Rhea Rosa Ruth Sanna Selma Signe Silvia Tamsin Thea Tilda "
    "Uma Vera Wanda Willa Yara Zelda"
)
FIRST_NAMES_M = _words(
    "Abel Alaric Anton Arjun Arlo Armand Axel Bertil Boris Bruno Caspar Cedric Cyril Dario Desmond Dirk Edgar Elias "
    "Emil Enzo Ernst Felix Fergus Finn Floyd Gaspard Gideon Gustav Hamish Hector Henrik Hugo Igor Isidor Ivan Jasper "
    "Joel Jonas Julius Kai Kenji Knut Lars Leif Leon Linus Lorenz Luka Magnus Marek Matteo Milan Milo Nils Noel Olaf "
    "Omar Orson Oskar Otto Pavel Piers Ravi Remy Roald Rufus Samir Silas Simon Soren Stellan Sven Tariq Theo Tobias "
    "Ulf Viktor Wim Xavier Yusuf Zeno"
)
_FAMILY_ROOTS = _words(
    "Ald Ash Bar Bexl Birk Brad Bram Cald Carl Chel Clif Cor Dal Den Dray Eld Fair Farn Gold Green Hal Hart Hazel "
    "Holm Kel Kirk Lang Lind Mar Mer Mil Nor Oak Pen Ral Red Rock Sel Stan Thorn Wal Wes Whit Wil"
)
_FAMILY_ENDINGS = _words(
    "berg by combe croft dale den ell er feld ford gate ham holt hurst ing ley lund man more sen son stad ton well"
)
LAST_NAMES = [root + ending for root in _FAMILY_ROOTS for ending in _FAMILY_ENDINGS]
TITLES_OF_PEOPLE = ("Mr.", "Mrs.", "Ms.", "Dr.")
SUFFIXES = ("Jr.", "Sr.", "II", "III", "PhD")

STREETS = _words(
    "Acorn Alder Almond Amber Apple Aspen Badger Barley Bay Beech Bell Birch Bluebell Bramble Brook Cedar Chapel "
    "Cherry Chestnut Clover Copper Coral Crane Crescent Daisy Dove Eagle Elm Falcon Fern Finch Foxglove Garden Glen "
    "Granite Harbour Harvest Hawthorn Hazel Heather Heron Hill Holly Iris Ivy Jasmine Juniper Kestrel Lake Larch Lark "
    "Laurel Lavender Lilac Lime Linden Lotus Magnolia Maple Meadow Mill Mint Moss Oak Olive Orchard Otter Park Pebble "
    "Pine Plum Poplar Primrose Quarry Quince Raven River Robin Rose Rowan Saffron Sage School Shore Silver Spring "
    "Spruce Station Stone Swan Sycamore Thistle Thyme Valley Vine Violet Walnut Water Willow Windmill Wren Yarrow Yew"
)
STREET_KINDS = ("Street", "Avenue", "Road", "Lane", "Drive", "Court", "Way", "Place", "Close", "Terrace", "Row", "Walk")

TOWN_ROOTS = _words(
    "Alder Amber Ash Birch Black Brook Cedar Clear Crest Deer Eagle East Elm Fair Fern Fox Glen Gold Grand Green Hawk "
    "Hazel High Iron Kings Lake Lark Long Maple Mill Moor New North Oak Old Pine Queens Red River Rock Rose Sand "
    "Silver South Spring Stone Sun Swan West White Willow Wind Winter Wood"
)
TOWN_ENDINGS = _words(
    "bridge brook burn bury cliff cross dale field ford gate haven hurst ley mere mouth port side stead ton ville"
)
