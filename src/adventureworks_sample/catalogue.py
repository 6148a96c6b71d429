"""Texts and pictures about products: models, descriptions in six languages, photos, documents, reviews."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adventureworks_sample.build import NamedTable, day, rows, table
from adventureworks_sample.draw import Draw, hexadecimal
from adventureworks_sample.lineup import LINE_UP, SUBCATEGORIES
from adventureworks_sample.products import ProductRange
from adventureworks_sample.staff import hierarchy_id, holders
from adventureworks_sample.world import SET_UP, Company

_MODELS = 128
_DESCRIBED = 127
_UNITS = (
    "BOX Boxes|BTL Bottle|C   Celsius|CAN Canister|CAR Carton|CBM Cubic metre|CCM Cubic centimetre|"
    "CDM Cubic decimetre|CM  Centimetre|CM2 Square centimetre|CR  Crate|CS  Case|CTN Container|DM  Decimetre|"
    "DZ  Dozen|EA  Each|FT3 Cubic foot|G   Gram|GAL Gallon|IN  Inch|KG  Kilogram|KGV Kilogram by cubic metre|"
    "KM  Kilometre|KT  Kiloton|L   Litre|LB  Pound|M   Metre|M2  Square metre|M3  Cubic metre of gas|MG  Milligram|"
    "ML  Millilitre|MM  Millimetre|OZ  Ounce|PAK Pack|PAL Pallet|PC  Piece|PCT Per cent|PT  Pint"
)
"""Code (three characters) and name, separated by bars."""
_CULTURES = (
    ("      ", "Invariant"), ("ar    ", "Arabic"), ("en    ", "English"), ("es    ", "Spanish"), ("fr    ", "French"),
    ("he    ", "Hebrew"), ("th    ", "Thai"), ("zh-cht", "Chinese"),
)  # fmt: skip
_SENTENCES = {
    "ar    ": "{name}: منتج من مجموعتنا، متين وسهل الاستعمال.",
    "en    ": "{name}: {thing} from our own range, sturdy and easy to use.",
    "fr    ": "{name} : un produit de notre gamme, solide et simple à utiliser.",
    "he    ": "{name}: מוצר מהמגוון שלנו, חזק ונוח לשימוש.",
    "th    ": "{name}: สินค้าของเรา แข็งแรงและใช้งานง่าย",
    "zh-cht": "{name}：本公司產品，堅固耐用，容易使用。",
}
_NAMESPACES = "http://schemas.microsoft.com/sqlserver/2004/07/adventure-works"
_SOLD_BY_CATALOGUE = (1, 2, 4, 6, 9, 12)
_WITH_INSTRUCTIONS = (15, 16, 17, 18, 19, 20, 21, 22, 1)
_MODEL_ILLUSTRATIONS = ((1, 1), (1, 2), (6, 1), (6, 3), (12, 4), (15, 2), (16, 3))
_PHOTOS = 101
_DOCUMENT_NAMES = (
    "Assembly",
    "Lubrication",
    "Brakes",
    "Gears",
    "Safety",
    "Wheels",
    "Warranty",
    "Saddles",
    "Seat Height",
)


def before_products(company: Company) -> Iterator[NamedTable]:
    """Yield the tables of units, languages and models."""
    draw = Draw(company.seed, "models")
    units = [(entry[:3], entry[4:]) for entry in _UNITS.split("|")]
    yield rows("Production_UnitMeasure", ("UnitMeasureCode", "Name"), units, ModifiedDate=SET_UP)
    yield rows("Production_Culture", ("CultureID", "Name"), _CULTURES, ModifiedDate=SET_UP)
    yield table(
        "Production_ProductModel",
        {
            "ProductModelID": np.arange(1, _MODELS + 1),
            "Name": [_model_name(number) for number in range(1, _MODELS + 1)],
            "CatalogDescription": [
                _catalogue_text(number) if number in _SOLD_BY_CATALOGUE else None for number in range(1, _MODELS + 1)
            ],
            "Instructions": [
                _instructions(number) if number in _WITH_INSTRUCTIONS else None for number in range(1, _MODELS + 1)
            ],
            "rowguid": draw.guids(_MODELS),
            "ModifiedDate": day("2008-03-31") + draw.below(_MODELS, 2_000),
        },
    )


def tables(company: Company, goods: ProductRange) -> Iterator[NamedTable]:
    """Yield the tables about models and products that selling does not need."""
    draw = Draw(company.seed, "catalogue")
    yield from _descriptions(draw)
    yield table(
        "Production_Illustration",
        {
            "IllustrationID": np.arange(1, 6),
            "Diagram": [
                '<Viewbox xmlns="http://schemas.microsoft.com/winfx/2006/xaml/presentation" Width="100" Height="100">'
                f'<Canvas><Path Stroke="#ff000000" Data="M 0,0 L {10 * number},{20 * number} Z"/></Canvas></Viewbox>'
                for number in range(1, 6)
            ],
            "ModifiedDate": day("2014-01-09"),
        },
    )
    yield rows(
        "Production_ProductModelIllustration",
        ("ProductModelID", "IllustrationID"),
        _MODEL_ILLUSTRATIONS,
        ModifiedDate=day("2014-01-09"),
    )
    yield from _photos(draw, goods)
    yield from _documents(draw, goods)
    yield _reviews(goods)


def _model_name(number: int) -> str:
    return LINE_UP[number - 1].name if number <= len(LINE_UP) else f"Study {number - len(LINE_UP)}"


def _catalogue_text(number: int) -> str:
    name = _model_name(number)
    return (
        f'<p1:ProductDescription xmlns:p1="{_NAMESPACES}/ProductModelDescription" '
        f'xmlns:wm="{_NAMESPACES}/ProductModelWarrAndMain" '
        'xmlns:wf="http://www.adventure-works.com/schemas/OtherFeatures" '
        f'xmlns:html="http://www.w3.org/1999/xhtml" ProductModelID="{number}" ProductModelName="{name}">'
        f"<p1:Summary><html:p>{name}, from our own plant.</html:p></p1:Summary>"
        "<p1:Features><wm:Warranty><wm:WarrantyPeriod>2 years</wm:WarrantyPeriod>"
        "<wm:Description>parts</wm:Description></wm:Warranty><wf:wheel>Light wheels.</wf:wheel></p1:Features>"
        "<p1:Specifications><Material>Aluminium</Material></p1:Specifications></p1:ProductDescription>"
    )


def _instructions(number: int) -> str:
    return (
        f'<root xmlns="{_NAMESPACES}/ProductModelManuInstructions">How to make {_model_name(number)}.'
        '<Location LaborHours="2.5" LotSize="100" MachineHours="3" SetupHours="0.5" LocationID="10">'
        "<step>Form the <material>tubes</material> with the <tool>press</tool>.</step></Location>"
        '<Location LaborHours="1.75" LotSize="1" MachineHours="2" SetupHours="0.15" LocationID="20">'
        "<step>Weld and inspect by <specs>W-1</specs>.</step></Location></root>"
    )


def _descriptions(draw: Draw) -> Iterator[NamedTable]:
    """Yield a description for each model and language, and the table that links them."""
    models = [number for number in range(1, _DESCRIBED + 1) for _ in _SENTENCES]
    languages = [language for _ in range(_DESCRIBED) for language in _SENTENCES]
    things = {
        number: SUBCATEGORIES[family.subcategory - 1][1].lower() for number, family in enumerate(LINE_UP, start=1)
    }
    texts = [
        _SENTENCES[language].format(name=_model_name(model), thing=things.get(model, "a study"))
        for model, language in zip(models, languages, strict=True)
    ]
    ids = 3 + np.arange(len(models)) * 2
    yield table(
        "Production_ProductDescription",
        {
            "ProductDescriptionID": ids,
            "Description": texts,
            "rowguid": draw.guids(len(ids)),
            "ModifiedDate": day("2013-04-30"),
        },
    )
    yield table(
        "Production_ProductModelProductDescriptionCulture",
        {
            "ProductModelID": models,
            "ProductDescriptionID": ids,
            "CultureID": languages,
            "ModifiedDate": day("2013-04-30"),
        },
    )


def _photos(draw: Draw, goods: ProductRange) -> Iterator[NamedTable]:
    """Yield small pictures of random noise; all parts share the placeholder picture."""
    ids = np.arange(1, _PHOTOS + 1)
    noise = draw.raw(_PHOTOS * 6).view(np.uint8).reshape(_PHOTOS, 48)
    head = np.tile(np.frombuffer(b"GIF89a", dtype=np.uint8), (_PHOTOS, 1))
    yield table(
        "Production_ProductPhoto",
        {
            "ProductPhotoID": ids,
            "ThumbNailPhoto": hexadecimal(np.hstack([head, noise[:, :16]])),
            "ThumbnailPhotoFileName": [f"photo_{number:03}_small.gif" for number in ids],
            "LargePhoto": hexadecimal(np.hstack([head, noise])),
            "LargePhotoFileName": [f"photo_{number:03}_large.gif" for number in ids],
            "ModifiedDate": day("2012-04-30"),
        },
    )
    yield table(
        "Production_ProductProductPhoto",
        {
            "ProductID": goods.ids,
            "ProductPhotoID": np.where(goods.model == 0, 1, 2 + goods.model % (_PHOTOS - 1)),
            "Primary": True,
            "ModifiedDate": day("2013-04-30"),
        },
    )


def _documents(draw: Draw, goods: ProductRange) -> Iterator[NamedTable]:
    """Yield a tree of folders and documents as in the real source: the root has no node, folders have no extension."""
    folders: list[tuple[str, tuple[int, ...]]] = [
        ("Library", ()),
        ("Basics", (1,)),
        ("Upkeep", (2,)),
        ("Assembly", (3,)),
    ]
    documents = [(name, (1 + place % 3, 1 + place // 3)) for place, name in enumerate(_DOCUMENT_NAMES)]
    entries = [(name, path, True) for name, path in folders] + [
        (f"{name} guide", path, False) for name, path in documents
    ]
    number = len(entries)
    folder = np.array([flag for *_, flag in entries])
    body = hexadecimal(draw.raw(number * 8).view(np.uint8).reshape(number, 64)).to_pylist()
    owners = holders("Records Keeper")
    yield table(
        "Production_Document",
        {
            "DocumentNode": [hierarchy_id(path) or None for _, path, _ in entries],
            "DocumentLevel": [len(path) for _, path, _ in entries],
            "Title": [name for name, _, _ in entries],
            "Owner": owners[np.arange(number) % len(owners)],
            "FolderFlag": folder,
            "FileName": [name if flag else f"{name}.doc" for name, _, flag in entries],
            "FileExtension": [None if flag else ".doc" for *_, flag in entries],
            "Revision": [f"{place % 5}".ljust(5) for place in range(number)],
            "ChangeNumber": np.where(folder, 0, draw.below(number, 200)),
            "Status": np.where(np.arange(number) % 6 == 5, 1, 2),
            "DocumentSummary": [None if place % 2 else f"{name} in short." for place, (name, *_) in enumerate(entries)],
            "Document": [None if flag else text for text, flag in zip(body, folder, strict=True)],
            "rowguid": draw.guids(number),
            "ModifiedDate": day("2012-05-30"),
        },
    )
    described = np.flatnonzero(goods.category == 2)[:32]
    nodes = [hierarchy_id(path) for _, path in documents]
    yield table(
        "Production_ProductDocument",
        {
            "ProductID": goods.ids[described],
            "DocumentNode": [nodes[place % len(nodes)] for place in range(len(described))],
            "ModifiedDate": day("2013-12-29"),
        },
    )


def _reviews(goods: ProductRange) -> NamedTable:
    """Return four product reviews."""
    reviewed = np.flatnonzero(goods.category == 1)[[60, 70, 70, 90]]
    dates = np.array([day(text) for text in ("2013-09-18", "2013-11-13", "2013-11-15", "2013-11-15")])
    return table(
        "Production_ProductReview",
        {
            "ProductReviewID": np.arange(1, 5),
            "ProductID": goods.ids[reviewed],
            "ReviewerName": ["Thea", "Otto", "Mina", "Remy"],
            "ReviewDate": dates,
            "EmailAddress": [f"{name}.reviews@example.com" for name in ("thea", "otto", "mina", "remy")],
            "Rating": np.array([5, 4, 2, 5]),
            "Comments": ["Takes every hill.", "Solid, a little heavy.", "The gears slip.", None],
            "ModifiedDate": dates,
        },
    )
