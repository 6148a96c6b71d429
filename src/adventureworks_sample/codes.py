"""Public code lists, as far as the sample needs them: countries (ISO 3166), currencies (ISO 4217), provinces.

Entries are separated by bars, with the code first. Nothing here is random.
"""

from __future__ import annotations

_COUNTRIES = """
AD Andorra|AE United Arab Emirates|AF Afghanistan|AG Antigua and Barbuda|AI Anguilla|AL Albania|AM Armenia|AO Angola|
AQ Antarctica|AR Argentina|AS American Samoa|AT Austria|AU Australia|AW Aruba|AZ Azerbaijan|BA Bosnia and Herzegovina|
BB Barbados|BD Bangladesh|BE Belgium|BF Burkina Faso|BG Bulgaria|BH Bahrain|BI Burundi|BJ Benin|BM Bermuda|BN Brunei|
BO Bolivia|BR Brazil|BS Bahamas|BT Bhutan|BV Bouvet Island|BW Botswana|BY Belarus|BZ Belize|CA Canada|CC Cocos Islands|
CD Congo (Democratic Republic)|CF Central African Republic|CG Congo|CH Switzerland|CI Côte d'Ivoire|CK Cook Islands|
CL Chile|CM Cameroon|CN China|CO Colombia|CR Costa Rica|CU Cuba|CV Cape Verde|CX Christmas Island|CY Cyprus|CZ Czechia|
DE Germany|DJ Djibouti|DK Denmark|DM Dominica|DO Dominican Republic|DZ Algeria|EC Ecuador|EE Estonia|EG Egypt|
ER Eritrea|ES Spain|ET Ethiopia|FI Finland|FJ Fiji|FK Falkland Islands|FM Micronesia|FO Faroe Islands|FR France|
GA Gabon|GB United Kingdom|GD Grenada|GE Georgia|GF French Guiana|GG Guernsey|GH Ghana|GI Gibraltar|GL Greenland|
GM Gambia|GN Guinea|GP Guadeloupe|GQ Equatorial Guinea|GR Greece|GT Guatemala|GU Guam|GW Guinea-Bissau|GY Guyana|
HK Hong Kong|HN Honduras|HR Croatia|HT Haiti|HU Hungary|ID Indonesia|IE Ireland|IL Israel|IM Isle of Man|IN India|
IQ Iraq|IR Iran|IS Iceland|IT Italy|JE Jersey|JM Jamaica|JO Jordan|JP Japan|KE Kenya|KG Kyrgyzstan|KH Cambodia|
KI Kiribati|KM Comoros|KN Saint Kitts and Nevis|KP North Korea|KR South Korea|KW Kuwait|KY Cayman Islands|
KZ Kazakhstan|LA Laos|LB Lebanon|LC Saint Lucia|LI Liechtenstein|LK Sri Lanka|LR Liberia|LS Lesotho|LT Lithuania|
LU Luxembourg|LV Latvia|LY Libya|MA Morocco|MC Monaco|MD Moldova|ME Montenegro|MG Madagascar|MH Marshall Islands|
MK North Macedonia|ML Mali|MM Myanmar|MN Mongolia|MO Macao|MP Northern Mariana Islands|MQ Martinique|MR Mauritania|
MS Montserrat|MT Malta|MU Mauritius|MV Maldives|MW Malawi|MX Mexico|MY Malaysia|MZ Mozambique|NA Namibia|
NC New Caledonia|NE Niger|NF Norfolk Island|NG Nigeria|NI Nicaragua|NL Netherlands|NO Norway|NP Nepal|NR Nauru|NU Niue|
NZ New Zealand|OM Oman|PA Panama|PE Peru|PF French Polynesia|PG Papua New Guinea|PH Philippines|PK Pakistan|PL Poland|
PM Saint Pierre and Miquelon|PN Pitcairn|PR Puerto Rico|PT Portugal|PW Palau|PY Paraguay|QA Qatar|RE Réunion|
RO Romania|RS Serbia|RU Russia|RW Rwanda|SA Saudi Arabia|SB Solomon Islands|SC Seychelles|SD Sudan|SE Sweden|
SG Singapore|SH Saint Helena|SI Slovenia|SK Slovakia|SL Sierra Leone|SM San Marino|SN Senegal|SO Somalia|SR Suriname|
ST São Tomé and Príncipe|SV El Salvador|SY Syria|SZ Eswatini|TC Turks and Caicos Islands|TD Chad|TG Togo|TH Thailand|
TJ Tajikistan|TK Tokelau|TL Timor-Leste|TM Turkmenistan|TN Tunisia|TO Tonga|TR Türkiye|TT Trinidad and Tobago|
TV Tuvalu|TW Taiwan|TZ Tanzania|UA Ukraine|UG Uganda|US United States|UY Uruguay|UZ Uzbekistan|VA Vatican City|
VC Saint Vincent and the Grenadines|VE Venezuela|VG Virgin Islands (British)|VI Virgin Islands (U.S.)|VN Vietnam|
VU Vanuatu|WF Wallis and Futuna|WS Samoa|YE Yemen|YT Mayotte|ZA South Africa|ZM Zambia|ZW Zimbabwe
"""

_CURRENCIES = """
AED Emirati dirham:AE|AFN Afghani:AF|ALL Lek:AL|AMD Dram:AM|AOA Kwanza:AO|ARS Argentine peso:AR|
ATS Austrian schilling:AT|AUD Australian dollar:AU|AWG Aruban florin:AW|AZN Azerbaijani manat:AZ|
BBD Barbados dollar:BB|BDT Taka:BD|BEF Belgian franc:BE|BGN Bulgarian lev:BG|BHD Bahraini dinar:BH|BND Brunei dollar:BN|
BOB Boliviano:BO|BRL Brazilian real:BR|BSD Bahamian dollar:BS|BTN Ngultrum:BT|BWP Pula:BW|BYN Belarusian ruble:BY|
CAD Canadian dollar:CA|CHF Swiss franc:CH|CLP Chilean peso:CL|CNY Yuan renminbi:CN|COP Colombian peso:CO|
CRC Costa Rican colón:CR|CYP Cyprus pound:CY|CZK Czech koruna:CZ|DEM Deutsche Mark:DE|DKK Danish krone:DK|
DOP Dominican peso:DO|DZD Algerian dinar:DZ|ECS Ecuadorian sucre:EC|EEK Estonian kroon:EE|EGP Egyptian pound:EG|
ESP Spanish peseta:ES|EUR Euro:AT BE DE ES FI FR GR IE IT LU NL PT|FIM Finnish markka:FI|FJD Fiji dollar:FJ|
FRF French franc:FR|GBP Pound sterling:GB|GHS Cedi:GH|GRD Greek drachma:GR|GTQ Quetzal:GT|HKD Hong Kong dollar:HK|
HRK Croatian kuna:HR|HUF Forint:HU|IDR Rupiah:ID|IEP Irish pound:IE|ILS New shekel:IL|INR Indian rupee:IN|
ISK Icelandic króna:IS|ITL Italian lira:IT|JMD Jamaican dollar:JM|JOD Jordanian dinar:JO|JPY Yen:JP|
KES Kenyan shilling:KE|KRW Won:KR|KWD Kuwaiti dinar:KW|LBP Lebanese pound:LB|LKR Sri Lankan rupee:LK|LTL Litas:LT|
LUF Luxembourg franc:LU|LVL Lats:LV|MAD Moroccan dirham:MA|MTL Maltese lira:MT|MUR Mauritian rupee:MU|
MVR Rufiyaa:MV|MXN Mexican peso:MX|MYR Ringgit:MY|NAD Namibian dollar:NA|NGN Naira:NG|NLG Dutch guilder:NL|
NOK Norwegian krone:NO|NPR Nepalese rupee:NP|NZD New Zealand dollar:NZ|OMR Omani rial:OM|PAB Balboa:PA|PEN Sol:PE|
PHP Philippine peso:PH|PKR Pakistani rupee:PK|PLN Zloty:PL|PTE Portuguese escudo:PT|PYG Guarani:PY|ROL Leu (old):RO|
RUB Russian ruble:RU|RUR Russian ruble (old):RU|SAR Saudi riyal:SA|SEK Swedish krona:SE|SGD Singapore dollar:SG|
SIT Tolar:SI|SKK Slovak koruna:SK|SVC Salvadoran colón:SV|THB Baht:TH|TND Tunisian dinar:TN|TRL Turkish lira (old):TR|
TTD Trinidad and Tobago dollar:TT|TWD New Taiwan dollar:TW|USD US dollar:US|UYU Uruguayan peso:UY|
VEB Bolívar (old):VE|VND Dong:VN|XOF CFA franc BCEAO:SN|ZAR Rand:ZA|ZWD Zimbabwe dollar:ZW
"""

_STATES = """
1 US AK Alaska|4 US CA California|1 US HI Hawaii|1 US ID Idaho|1 US MT Montana|1 US OR Oregon|1 US WA Washington|
1 US WY Wyoming|1 US NV Nevada|1 AS AS American Samoa|2 US CT Connecticut|2 US DC District of Columbia|2 US DE Delaware|
2 US MA Massachusetts|2 US MD Maryland|2 US ME Maine|2 US NH New Hampshire|2 US NJ New Jersey|2 US NY New York|
2 US PA Pennsylvania|2 US RI Rhode Island|2 US VT Vermont|2 US WV West Virginia|2 US VA Virginia|3 US AR Arkansas|
3 US IA Iowa|3 US IL Illinois|3 US IN Indiana|3 US KS Kansas|3 US MI Michigan|3 US MN Minnesota|3 US MO Missouri|
3 US ND North Dakota|3 US NE Nebraska|3 US OH Ohio|3 US OK Oklahoma|3 US SD South Dakota|3 US WI Wisconsin|
4 US AZ Arizona|4 US CO Colorado|4 US NM New Mexico|4 US TX Texas|4 US UT Utah|5 US AL Alabama|5 US FL Florida|
5 US GA Georgia|5 US KY Kentucky|5 US LA Louisiana|5 US MS Mississippi|5 US NC North Carolina|5 US SC South Carolina|
5 US TN Tennessee|5 US PR Puerto Rico|5 VI VI Virgin Islands|6 CA AB Alberta|6 CA BC British Columbia|6 CA MB Manitoba|
6 CA NB New Brunswick|6 CA NL Newfoundland and Labrador|6 CA NS Nova Scotia|6 CA NT Northwest Territories|
6 CA NU Nunavut|6 CA ON Ontario|6 CA PE Prince Edward Island|6 CA QC Quebec|6 CA SK Saskatchewan|6 CA YT Yukon|
7 FR 01 Ain|7 FR 02 Aisne|7 FR 03 Allier|7 FR 04 Alpes-de-Haute-Provence|7 FR 05 Hautes-Alpes|7 FR 06 Alpes-Maritimes|
7 FR 07 Ardèche|7 FR 08 Ardennes|7 FR 09 Ariège|7 FR 10 Aube|7 FR 11 Aude|7 FR 12 Aveyron|7 FR 13 Bouches-du-Rhône|
7 FR 14 Calvados|7 FR 15 Cantal|7 FR 16 Charente|7 FR 17 Charente-Maritime|7 FR 18 Cher|7 FR 19 Corrèze|
7 FR 2A Corse-du-Sud|7 FR 2B Haute-Corse|7 FR 21 Côte-d'Or|7 FR 22 Côtes-d'Armor|7 FR 23 Creuse|7 FR 24 Dordogne|
7 FR 25 Doubs|7 FR 26 Drôme|7 FR 27 Eure|7 FR 28 Eure-et-Loir|7 FR 29 Finistère|7 FR 30 Gard|7 FR 31 Haute-Garonne|
7 FR 32 Gers|7 FR 33 Gironde|7 FR 34 Hérault|7 FR 35 Ille-et-Vilaine|7 FR 36 Indre|7 FR 37 Indre-et-Loire|7 FR 38 Isère|
7 FR 39 Jura|7 FR 40 Landes|7 FR 41 Loir-et-Cher|7 FR 42 Loire|7 FR 43 Haute-Loire|7 FR 44 Loire-Atlantique|
7 FR 45 Loiret|7 FR 46 Lot|7 FR 47 Lot-et-Garonne|7 FR 48 Lozère|7 FR 49 Maine-et-Loire|7 FR 50 Manche|7 FR 51 Marne|
7 FR 52 Haute-Marne|7 FR 53 Mayenne|7 FR 54 Meurthe-et-Moselle|7 FR 55 Meuse|7 FR 56 Morbihan|7 FR 57 Moselle|
7 FR 58 Nièvre|7 FR 59 Nord|7 FR 60 Oise|7 FR 61 Orne|7 FR 62 Pas-de-Calais|7 FR 63 Puy-de-Dôme|
7 FR 64 Pyrénées-Atlantiques|7 FR 65 Hautes-Pyrénées|7 FR 66 Pyrénées-Orientales|7 FR 67 Bas-Rhin|7 FR 68 Haut-Rhin|
7 FR 69 Rhône|7 FR 70 Haute-Saône|7 FR 71 Saône-et-Loire|7 FR 72 Sarthe|7 FR 73 Savoie|7 FR 74 Haute-Savoie|
7 FR 75 Paris|7 FR 76 Seine-Maritime|7 FR 77 Seine-et-Marne|7 FR 78 Yvelines|7 FR 79 Deux-Sèvres|7 FR 80 Somme|
7 FR 81 Tarn|7 FR 82 Tarn-et-Garonne|7 FR 83 Var|7 FR 84 Vaucluse|7 FR 85 Vendée|7 FR 86 Vienne|7 FR 87 Haute-Vienne|
7 FR 88 Vosges|7 FR 89 Yonne|7 FR 90 Territoire de Belfort|7 FR 91 Essonne|7 FR 92 Hauts-de-Seine|
7 FR 93 Seine-Saint-Denis|7 FR 94 Val-de-Marne|7 FR 95 Val-d'Oise|8 DE BB Brandenburg|8 DE BY Bayern|8 DE HE Hessen|
8 DE HH Hamburg|8 DE NW Nordrhein-Westfalen|8 DE SL Saarland|8 DE SN Sachsen|9 AU NSW New South Wales|
9 AU QLD Queensland|9 AU SA South Australia|9 AU TAS Tasmania|9 AU VIC Victoria|9 FM FM Micronesia|
9 MH MH Marshall Islands|
9 MP MP Northern Mariana Islands|9 PW PW Palau|10 GB ENG England
"""


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.replace("\n", "").split("|")]


COUNTRIES: list[tuple[str, str]] = [(entry[:2], entry[3:]) for entry in _entries(_COUNTRIES)]
"""Code and name."""

CURRENCIES: list[tuple[str, str]] = [(entry[:3], entry[4:].split(":")[0]) for entry in _entries(_CURRENCIES)]
"""Code and name."""

COUNTRY_CURRENCIES: list[tuple[str, str]] = [
    (country, entry[:3]) for entry in _entries(_CURRENCIES) for country in entry.split(":")[1].split()
]
"""Country and currency."""

STATES: list[tuple[int, str, str, str]] = [
    (int(territory), country, code, name)
    for territory, country, code, name in (entry.split(" ", 3) for entry in _entries(_STATES))
]
"""Sales territory, country, code, name; a country without provinces has one entry for the whole country."""

TERRITORIES: list[tuple[str, str, str]] = [
    ("Northwest", "US", "North America"),
    ("Northeast", "US", "North America"),
    ("Central", "US", "North America"),
    ("Southwest", "US", "North America"),
    ("Southeast", "US", "North America"),
    ("Canada", "CA", "North America"),
    ("France", "FR", "Europe"),
    ("Germany", "DE", "Europe"),
    ("Australia", "AU", "Pacific"),
    ("United Kingdom", "GB", "Europe"),
]
"""Name, country and region group of territories 1 to 10."""
