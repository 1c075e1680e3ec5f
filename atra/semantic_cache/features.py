"""What two questions have in common and what tells them apart, as numbers for the hit decision.

Vectors of meaning are nearly blind to the little words that turn an answer round: "not", "before", another year, two
names that change places. Each of these is looked at by itself here, in plain Python. The numbers are the same whichever
of the two questions comes first.

The lists of words (opposites, units, kinds of question) were written for this module. English alone is known; of
another language only what is told by numbers, words in common and the vectors counts.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

NAMES = (
    "cosine",
    "words_in_common",
    "content_in_common",
    "pairs_in_common",
    "letters_in_common",
    "weight_in_common",
    "heaviest_alone",
    "least_weight_alone",
    "most_weight_alone",
    "least_alone",
    "most_alone",
    "alike_alone",
    "numbers_in_common",
    "numbers_alone",
    "negations_apart",
    "opposites",
    "degrees_apart",
    "names_in_common",
    "least_names_alone",
    "most_names_alone",
    "asks_the_same",
    "asks_another",
    "turned_round",
    "same_order",
    "first_word",
    "last_word",
    "shortest",
    "longest",
    "length_ratio",
    "times_apart",
    "units_apart",
    "same_words",
    "sentences_apart",
    "either_way",
    "signs_apart",
)
"""What the numbers of `features` are, in their order."""

_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:[+#]+|['\u2019][^\W\d_]+)?|[%$€£₹]")
_SIGNS = re.compile(r"[^\w\s.,?!'\"\u2018\u2019\u201c\u201d\u2026-]+")
_SPELT = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "twenty": "20", "hundred": "100",
    "thousand": "1000", "million": "1000000", "billion": "1000000000", "dozen": "12", "half": "0.5",
}  # fmt: skip
_ENDINGS = (
    ("sses", 2, "ss"), ("ies", 2, "y"), ("ss", 1, "ss"), ("us", 1, "us"), ("is", 1, "is"),
    ("es", 4, ""), ("s", 3, ""), ("ing", 3, ""), ("ied", 2, "y"), ("ed", 3, ""), ("ly", 4, ""),
)  # fmt: skip


def _stem(word: str) -> str:
    """Return the word without a common ending, a number in digits; two words of one stem count as the same."""
    if word in _SPELT:
        return _SPELT[word]
    if len(word) < 4 or not word.isascii():
        return word
    for ending, least, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= least:
            stem = word[: -len(ending)] + instead
            return stem[:-1] if ending in ("ing", "ed") and stem[-1] == stem[-2] and stem[-1] not in "lse" else stem
    return word.removesuffix("e") if len(word) > 4 else word


def _stems(words: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in words.split())


_FULL = {
    "what's": "what is", "who's": "who is", "where's": "where is", "how's": "how is", "it's": "it is",
    "that's": "that is", "there's": "there is", "i'm": "i am", "i've": "i have", "i'll": "i will", "i'd": "i would",
    "you're": "you are", "can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not",
    "whats": "what is", "dont": "do not", "doesnt": "does not", "cant": "can not", "isnt": "is not",
    "usa": "america", "uk": "britain", "vs": "versus", "pic": "picture", "pics": "picture",
}  # fmt: skip
_NEGATIONS = _stems(
    "not no never none nobody nothing neither nor without cannot hardly unable fail fails stop stops prevent avoid "
    "except lack lacks lacking impossible n't refuse refuses"
)
_EMPTY = _stems(
    "a an the is are was were be been being am do does did done of to in on at by for from with and or as that this "
    "these those it its i me my we our you your he she they his her their there here has have had will would can could "
    "should shall may might must so than then just please tell about into up out some any get got one really actually "
    "very also ever exactly what which who whom whose when where why how if s t"
)
_ASKS = {
    "who": "who", "whom": "who", "whose": "who", "when": "when", "where": "where", "why": "why", "which": "what",
    "what": "what", "how": "how",
}  # fmt: skip
_HOW = _stems("many much long often far old big tall fast high deep late heavy large small")
_YES = _stems("is are was were do does did can could should will would has have had am may might must")
_DEGREES = _stems(
    "more most less least fewer fewest better best worse worst bigger biggest smaller smallest larger largest higher "
    "highest lower lowest longer longest shorter shortest older oldest younger youngest newer newest first last next "
    "previous earliest latest only all every each always sometimes often rarely usually some any both either few many "
    "top bottom average minimum maximum total half double"
)
_TIMES = _stems(
    "january february march april june july august september october november december monday tuesday wednesday "
    "thursday friday saturday sunday today yesterday tomorrow tonight now currently year month week day hour minute "
    "second morning evening night spring summer autumn winter century decade daily weekly monthly yearly annual ago "
    "past future present recent recently still yet already anymore used before after during since until"
)
_EITHER_WAY = _stems("between versus difference differences differ or same compare compared and both")
_UNITS = _stems(
    "km kilometer kilometre mile meter metre m cm mm inch foot feet yard kg kilogram gram g mg pound lb ounce oz ton "
    "liter litre l ml gallon celsius fahrenheit kelvin dollar euro rupee yen pound usd eur inr gbp $ € £ ₹ % percent "
    "gb mb kb tb byte bit hz ghz mhz watt kw volt calorie joule mph kmh"
)
_PAIRS = """
above below; accept reject; add remove; advantage disadvantage; advantages disadvantages; after before; alive dead;
allow forbid; always never; ancient modern; arrive leave; ascending descending; attach detach; best worst; better
worse; big small; bigger smaller; biggest smallest; black white; borrow lend; bottom top; boy girl; boys girls; bring
take; brother sister; build destroy; buy sell; cause prevent; cheap expensive; cheapest expensive; clean dirty; client
server; close open; cold hot; cold warm; compress decompress; connect disconnect; create delete; cure cause; dark
light; daughter son; day night; decode encode; decrease increase; decrypt encrypt; deep shallow; deposit withdraw; die
live; difficult easy; disable enable; divide multiply; download upload; drop gain; dry wet; early late; earliest
latest; easiest hardest; east west; empty full; end start; enter exit; even odd; export import; fail pass; fail
succeed; failure success; fall rise; false true; far near; fast slow; faster slower; fastest slowest; fat thin; father
mother; female male; fewer more; final initial; find lose; first last; follow lead; forget remember; freeze melt;
friend enemy; gain lose; girlfriend boyfriend; give receive; good bad; grow shrink; guilty innocent; happy sad; hard
easy; hard soft; harder easier; hardware software; hate love; hide show; hidden visible; high low; higher lower;
highest lowest; hire fire; hotter colder; hottest coldest; husband wife; illegal legal; impossible possible; in out;
include exclude; income expense; indoor outdoor; inner outer; input output; inside outside; install uninstall;
internal external; jump fall; king queen; large small; larger smaller; largest smallest; least most; left right; legal
illegal; less more; lock unlock; long short; longer shorter; longest shortest; loose tight; loss profit; lose win;
lose gain; loud quiet; major minor; man woman; married single; maximum minimum; max min; men women; minus plus; mount
unmount; natural artificial; negative positive; new old; newer older; newest oldest; next previous; north south;
nothing everything; off on; offline online; older younger; oldest youngest; on off; over under; parent child; parents
children; past future; peace war; permanent temporary; plural singular; poor rich; poorest richest; pros cons; public
private; pull push; question answer; raise lower; read write; rejected accepted; reply ask; reward punish; rich poor;
right wrong; safe dangerous; safest dangerous; save spend; send receive; servant master; sharp blunt; sick healthy;
simple complex; sink float; sit stand; sleep wake; small large; smart stupid; start stop; stop continue; strength
weakness; strengths weaknesses; strong weak; stronger weaker; strongest weakest; student teacher; subtract add; summer
winter; tall short; taller shorter; tallest shortest; teach learn; thick thin; to from; together apart; true false;
ugly beautiful; upgrade downgrade; up down; vertical horizontal; victim attacker; victory defeat; virtual physical;
voluntary compulsory; weak strong; wide narrow; widest narrowest; with without; young old
"""
_OPPOSITES: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Parsed:
    """A question as it is compared.

    Args:
        words: in order, lower case, contractions in full, numbers in digits, endings cut off.
        names: words written with a capital letter that do not begin a sentence.
        asks: kind of question, such as `when` or `how many`; `yes` for one of yes and no.
        letters: runs of three letters.
        signs: what is neither a word nor a mark between words, such as `&&` and `**`.
    """

    words: tuple[str, ...]
    known: frozenset[str]
    content: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    numbers: frozenset[str]
    names: frozenset[str]
    negations: int
    asks: str
    letters: frozenset[str]
    signs: frozenset[str]
    sentences: int


@dataclass(frozen=True)
class Weights:
    """How much it says that a word occurs, the inverse of how often it does; `rare` for a word that is not listed."""

    of: Mapping[str, float]
    rare: float


def features(asked: str, kept: str, cosine: float, weights: Weights) -> list[float]:
    """Return the numbers that NAMES names; symmetric in the two questions."""
    one, two = parsed(asked), parsed(kept)
    only_one, only_two = one.known - two.known, two.known - one.known
    weight = weights.of.get
    alone_one = sum(weight(word, weights.rare) for word in only_one)
    alone_two = sum(weight(word, weights.rare) for word in only_two)
    common = one.known & two.known
    shared = sum(weight(word, weights.rare) for word in common)
    content_one, content_two = one.content - two.content, two.content - one.content
    names_one = {name for name in one.names if name not in two.known}
    names_two = {name for name in two.names if name not in one.known}
    turned, ordered = _order(one, two, common)
    alone = only_one | only_two
    lengths = sorted((len(one.words), len(two.words)))
    return [
        cosine,
        len(common) / (len(common) + len(alone) or 1),
        _share(one.content, two.content),
        _share(one.pairs, two.pairs),
        _share(one.letters, two.letters),
        shared / (shared + alone_one + alone_two or 1.0),
        max((weight(word, weights.rare) for word in alone), default=0.0),
        min(alone_one, alone_two),
        max(alone_one, alone_two),
        float(min(len(content_one), len(content_two))),
        float(max(len(content_one), len(content_two))),
        float(_alike(content_one, content_two)),
        float(len(one.numbers & two.numbers)),
        float(len(one.numbers ^ two.numbers)),
        float(abs(one.negations - two.negations)),
        float(sum(not _OPPOSITES.get(word, _NONE).isdisjoint(only_two) for word in only_one)),
        float(len(alone & _DEGREES)),
        float(len(one.names & two.names)),
        float(min(len(names_one), len(names_two))),
        float(max(len(names_one), len(names_two))),
        float(one.asks == two.asks),
        float(one.asks != two.asks and bool(one.asks) and bool(two.asks)),
        turned,
        ordered,
        float(one.words[:1] == two.words[:1]),
        float(one.words[-1:] == two.words[-1:]),
        float(lengths[0]),
        float(lengths[1]),
        lengths[0] / (lengths[1] or 1),
        float(len(alone & _TIMES)),
        float(len(alone & _UNITS)),
        float(one.words == two.words),
        float(abs(one.sentences - two.sentences)),
        float(not common.isdisjoint(_EITHER_WAY)),
        float(len(one.signs ^ two.signs)),
    ]


@lru_cache(maxsize=4096)
def parsed(question: str) -> Parsed:
    """Return the question as it is compared."""
    spelt = _WORD.findall(question)
    words: list[str] = []
    names: set[str] = set()
    for at, word in enumerate(spelt):
        lower = word.lower().replace("\u2019", "'")
        full = _FULL.get(lower) or (f"{lower[:-3]} not" if lower.endswith("n't") else lower.removesuffix("'s"))
        stems = [_stem(part) for part in full.split()]
        words.extend(stems)
        if at and word[0].isupper() and lower not in _EMPTY and not word[0].isdigit():
            names.update(stems)
    known = frozenset(words)
    letters = f" {' '.join(words)} "
    return Parsed(
        words=tuple(words),
        known=known,
        content=known - _EMPTY,
        pairs=frozenset(pairwise(words)),
        numbers=frozenset(word for word in known if word[0].isdigit()),
        names=frozenset(names),
        negations=sum(word in _NEGATIONS for word in words) % 2,
        asks=_asks(words),
        letters=frozenset(letters[at : at + 3] for at in range(len(letters) - 2)),
        signs=frozenset(_SIGNS.findall(question)),
        sentences=sum(question.count(mark) for mark in "?.!"),
    )


_NONE: frozenset[str] = frozenset()


def _asks(words: list[str]) -> str:
    for at, word in enumerate(words):
        if word in _ASKS:
            after = words[at + 1] if at + 1 < len(words) else ""
            return f"how {after}" if word == "how" and after in _HOW else _ASKS[word]
    return "yes" if words and words[0] in _YES else ""


def _order(one: Parsed, two: Parsed, common: frozenset[str]) -> tuple[float, float]:
    """Return how many common content words would have to move to stand in the same order, and the share that need not.

    Those that stay are the longest ascending run of places, as in patience sorting (Fredman 1975, Discrete Math. 11).
    """
    places = {word: at for at, word in enumerate(two.words) if word in common and two.words.count(word) == 1}
    order = [places[word] for word in one.words if word in places and one.words.count(word) == 1]
    told = [at for at in order if two.words[at] not in _EMPTY]
    ends: list[int] = []
    for at in told:
        place = bisect_left(ends, at)
        ends[place : place + 1] = [at]
    return float(len(told) - len(ends)), len(ends) / len(told) if told else 1.0


def _share(one: frozenset[object], two: frozenset[object]) -> float:
    common = len(one & two)
    return common / (len(one) + len(two) - common or 1)


def _alike(one: frozenset[str], two: frozenset[str]) -> int:
    """Return how many of the words begin like one of the other question: a typing error, or another form."""
    beginnings = {word[:4] for word in one if len(word) > 4}
    return len(beginnings & {word[:4] for word in two if len(word) > 4})


def _opposites() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in _PAIRS.replace("\n", " ").split(";"):
        one, two = (_stem(word) for word in pair.split())
        found.setdefault(one, set()).add(two)
        found.setdefault(two, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


_OPPOSITES = _opposites()
