"""Patterns of the guard for English and Turkish, on folded text: lower case without accents."""

from __future__ import annotations

import re
import unicodedata

from wbc.explain.wording import WORDINGS
from wbc.labels import CLASSES


def fold(text: str) -> str:
    """Remove compatibility forms and accents and convert to lower case, so that a word has one spelling."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return plain.lower().replace("ı", "i").replace("’", "'")


TURKISH = WORDINGS["tr"].names
# Adjectives (neutrophilic, nötrofilik) describe granules and shapes, and -oz a finding; neither names the cell.
CLASS = {name: rf"(?:{name.lower()}s?\b|{fold(TURKISH[name])}(?!ik|oz)\w*)" for name in CLASSES}
"""Pattern of the name of each class."""

ANY_CLASS = re.compile("|".join(CLASS.values()))

OTHER_CELL = re.compile(
    r"\b\w*(?:blasts?|blastlar|blasti|myelocytes?|miyelosit\w*|megakaryo\w+|plasma cells?|plazma hucre\w*|mast cells?"
    r"|(?:atypical|reactive|atipik|reaktif) (?:lympho\w+|lenfo\w+)|(?:neutro|eosino|baso)philic (?:cell|leu[ck]ocyte)s?"
    r"|(?:lympho|mono)cytic (?:cell|leu[ck]ocyte)s?)\b"
)
"""Cells outside the five classes."""

_SECOND = (
    r"(?:runner-? ?up|second|next|alternative|less likely|distant|sonraki|alternatif\w*"
    r"|ikinci(?: sirada\w*| (?:en )?olasi\w*| aday)?)"
)
SECOND_BEFORE = re.compile(rf"\b(?:{_SECOND}|followed by|ahead of|rather than|than|versus|against|ardindan)\b")
"""Words before a class name which mark it as not the predicted class."""

SECOND_AFTER = re.compile(
    r"^'?[ ,(]*(?:(?:is|was|as|being|comes|ranks|remains|at|with|only|the|a|an|class|ise|ile|sinifi|%?[\d.]+%?)[ ,()]+)"
    rf"{{0,6}}(?:{_SECOND}|follows|izl\w+)\b"
)
"""The same after the name, with few words between."""

NEW_CLAIM = re.compile(r"\b(?:this|it|actually|really|bu|aslinda|gercekte)\b")
"""Words that start a new claim between such a word and the name."""

ASSERTED = re.compile(
    r"\b(?:this|it|cell|leu[ck]ocyte|image|bu|hucre\w*)"
    r"(?: (?:is|was|shows|as|must|should|can|may|be|looks|like|clearly|likely|probably|most|really|a|an|the|bir))* $"
)
"""Words right before a class name which assign the cell to it."""


def denial(label: str) -> re.Pattern[str]:
    """Return the pattern of a denial of the class with the pattern `label`, or of naming it as the runner-up."""
    article = r"(?:(?:a|an|the|really|actually|only) )*"
    return re.compile(
        rf"\b(?:not|never|hardly|unlikely|cannot be)(?: to be)? {article}{label}|n't (?:be )?{article}{label}"
        rf"|\b{label}(?: hucresi)? degil"
        rf"|\b(?:runner-? ?up|ikinci siradaki sinif)(?: class)?(?: is|:)? {article}{label}"
        rf"|\b{label} (?:is|ranks|comes|ise) {article}(?:runner-? ?up|second|ikinci)\b"
    )


NUMBER = re.compile(r"(?:(?<![\w%)])[-−–])?\d+(?:[.,⁄/]\d+)*")
"""One number in digits, with a sign unless it is a hyphen."""

COUNTS = {
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    "tr": ("sifir", "bir", "iki", "uc", "dort", "bes", "alti", "yedi", "sekiz", "dokuz", "on"),
}
"""Small numbers in words, by language."""

# fmt: off
NUMBER_WORDS = {
    "en": frozenset({
        "zero", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty", "fifty",
        "sixty", "seventy", "eighty", "ninety", "hundred", "thousand", "dozen", "half", "quarter", "thirds",
    }),
    "tr": frozenset({
        "sifir", "iki", "uc", "dort", "bes", "alti", "yedi", "sekiz", "dokuz", "yirmi", "otuz", "kirk", "elli",
        "altmis", "yetmis", "seksen", "doksan", "yuz", "bin", "yari", "yarisi", "yarisini", "yarisinda", "ceyrek",
        "ceyregi",
    }),
}
# fmt: on
"""Words that are numbers, by language; "one", "bir" and "on" are also articles and the like."""

HARMLESS = re.compile(r"\b(?:not a|no) diagnosis\b|\btani (?:degildir|koymaz)\b|\bher iki(?:si)?\b")
"""Phrases that contain a forbidden word but claim nothing."""

MEDICAL = re.compile(
    r"\b(?:diagnos\w*|prognos\w*|patient\w*|treat(?:s|ed|ment\w*|ing)?|therap\w*|prescri\w*|medicat\w*|drugs?"
    r"|dos(?:e|es|age)|antibiotic\w*|steroid\w*|chemo\w*|leuka?emi\w*|lymphomas?|myeloma\w*|ana?emi\w*|cancer\w*"
    r"|malign\w*|tumou?rs?|neoplas\w*|infect\w*|sepsis|septic|inflammat\w*|allerg\w*|asthma\w*|parasit\w*|virus\w*"
    r"|viral|bacteri\w*|disease\w*|disorder\w*|syndrome\w*|patholog\w*|clinical\w*|hospital\w*|doctors?|physicians?"
    r"|biops\w*|follow-up|\w*(?:penia|cytosis|philia)"
    r"|tani(?:si|sini|sina|ya|yi|dir|lar|lari|nin|sal)?|teshis\w*|tedavi\w*|hasta|hasta(?:si|nin|da|ya|yi|lar|lik|lig)\w*"
    r"|ilac\w*|doz(?:u|lar)?|antibiyotik\w*|kemoterapi\w*|losemi\w*|lenfoma\w*|miyelom\w*|anemi\w*|kanser\w*|tumor\w*"
    r"|enfeksiyon\w*|iltihap\w*|alerji\w*|astim\w*|parazit\w*|bakteri\w*|sendrom\w*|prognoz\w*|recete\w*|klinik\w*"
    r"|hekim\w*|doktor\w*|biyopsi\w*|\w*(?:peni|sitoz)(?:si|sini|dir|ye)?)\b"
)
"""Diseases, findings, causes, treatments and people."""

OVERCLAIM = re.compile(
    r"\b(?:definite\w*|certainly|with certainty|(?:is|are|be) certain|undoubted\w*|unquestionab\w*|guarantee\w*"
    r"|conclusive\w*|confirms|(?:is|are|was|been) confirmed|without (?:a |any )?doubt"
    r"|no (?:human |further |manual )?(?:review(?! flag| reason)|check\w*|reader)"
    r"|kesindir|kesinlikle|suphesiz\w*|kuskusuz\w*|dogrulan(?:mis\w*|di)|dogruluyor|garanti\w*"
    r"|inceleme\w* (?:gerek yok|gerekmez|gereksiz))\b"
)
"""Certainty, or claims that no review is needed."""

LINK = re.compile(r"https?:|www\.|://|\w@\w")
SYMBOLS = frozenset(" .,;:!?'\"’‘“”()%/-–—−+=&°µ…⁄")
"""Accepted characters besides letters and digits."""
