"""Pairs of questions of our own writing: such as must share an answer, and such as must not, by families.

A family is one way in which two questions differ (a year, a negation, two names that change places). Its templates are
filled from lists of words. The families of FIT serve to fit the decision, those of TEST to test it: no family, no
pair of templates and no word that is exchanged is in both.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """Two questions; `same` if the answer to one answers the other."""

    family: str
    one: str
    two: str
    same: bool


@dataclass(frozen=True)
class Family:
    """How pairs are made.

    Args:
        templates: with `{x}` for what differs, `{y}` for its like, and `{a}`, `{b}` for what both have in common;
            one text means that both questions are written alike, two are the two questions.
        changed: what differs, as groups of words; both come from one group, in any order.
        ordered: whether `changed` holds pairs of which the first stands in the first question.
        filled: what `{a}` and `{b}` are taken from.
    """

    same: bool
    templates: Sequence[tuple[str, str]]
    changed: Sequence[Sequence[str]] = ((),)
    filled: Sequence[str] = ("",)
    ordered: bool = False


def pairs(families: Mapping[str, Family], most: int, seed: int = 7) -> list[Pair]:
    """Return at most so many different pairs of each family, the same ones for the same seed."""
    rng = random.Random(seed)
    made: list[Pair] = []
    for name, family in families.items():
        found = sorted(set(_all(family)))
        rng.shuffle(found)
        made.extend(Pair(name, one, two, family.same) for one, two in found[:most])
    return made


def _all(family: Family) -> Iterator[tuple[str, str]]:
    for one, two in family.templates:
        for x, y in _changes(family):
            for a, b in _fillings(family, one + two):
                first, second = one.format(x=x, y=y, a=a, b=b), two.format(x=x, y=y, a=a, b=b)
                if first != second:
                    yield first, second


def _changes(family: Family) -> Iterator[tuple[str, str]]:
    for group in family.changed:
        if not group:
            yield "", ""
        elif family.ordered:
            yield group[0], group[1]
        else:
            yield from ((x, y) for x in group for y in group if x != y)


def _fillings(family: Family, template: str) -> Iterator[tuple[str, str]]:
    if "{b}" in template:
        yield from ((a, b) for a in family.filled for b in family.filled if a != b)
    else:
        yield from ((a, "") for a in (family.filled if "{a}" in template else ("",)))


def _alike(*templates: str) -> list[tuple[str, str]]:
    """Both questions of one template: `{x}` in the first stands where `{y}` does in the second."""
    return [(one.replace("{y}", "{x}"), one.replace("{x}", "{y}")) for one in templates]


_TOOLS = ("Redis", "Postgres", "Kubernetes", "Docker", "Django", "Celery", "Nginx", "Kafka", "Terraform", "Grafana")
_THINGS = ("a used car", "a mortgage", "a visa", "a passport", "a flat", "a laptop", "a website", "a small garden")
_ANIMALS = ("lion", "tiger", "bear", "wolf", "crocodile", "shark", "eagle", "gorilla")
_DEEDS = (
    "install a printer", "boil an egg", "learn the guitar", "write a cover letter", "sleep better", "tie a tie",
    "fix a flat tyre", "grow tomatoes", "start a podcast", "paint a wall", "remove a red wine stain", "train a puppy",
)  # fmt: skip

FIT: Mapping[str, Family] = {
    "year": Family(
        False,
        _alike(
            "Who won the World Cup in {x}?",
            "What were the best films of {x}?",
            "What was the inflation rate of {a} in {x}?",
            "How many people lived in {a} in {x}?",
        ),
        [("1998", "2006", "2010", "2014", "2018", "2022")],
        ("Spain", "Kenya", "Chile", "Norway", "Vietnam"),
    ),
    "number": Family(
        False,
        _alike(
            "How do I lose {x} kilos in {a} weeks?",
            "What can I cook for {x} guests?",
            "Which phone should I buy under {x} euros?",
            "How long does it take to run {x} kilometres?",
            "What is {x} percent of {a}?",
        ),
        [("3", "5", "12", "20", "45", "100", "300")],
        ("4", "8", "60", "250"),
    ),
    "version": Family(
        False,
        _alike("What is new in {a} {x}?", "Is {a} {x} still supported?", "How do I upgrade to {a} {x}?"),
        [("2.1", "3.0", "5.4", "7", "8", "11", "17", "18")],
        _TOOLS,
    ),
    "negation": Family(
        False,
        [
            ("Why does {a} start after a reboot?", "Why does {a} not start after a reboot?"),
            ("Should I use {a} in production?", "Should I not use {a} in production?"),
            ("Which companies use {a}?", "Which companies do not use {a}?"),
            ("When can I trust {a}?", "When can't I trust {a}?"),
            ("Why do people like {a}?", "Why don't people like {a}?"),
            ("Is {a} safe for children?", "Is {a} not safe for children?"),
            ("What happens if I sign {a}?", "What happens if I never sign {a}?"),
        ],
        filled=(*_TOOLS, *_THINGS),
    ),
    "opposite": Family(
        False,
        [
            ("How do I gain weight?", "How do I lose weight?"),
            ("What are the advantages of {a}?", "What are the disadvantages of {a}?"),
            ("How can I buy {a}?", "How can I sell {a}?"),
            ("Why is {a} so cheap?", "Why is {a} so expensive?"),
            ("How do I install {a}?", "How do I uninstall {a}?"),
            ("What are the strengths of {a}?", "What are the weaknesses of {a}?"),
            ("How do I enable logging in {a}?", "How do I disable logging in {a}?"),
            ("What makes {a} fast?", "What makes {a} slow?"),
            ("How do I open {a}?", "How do I close {a}?"),
        ],
        filled=(*_TOOLS, *_THINGS),
    ),
    "place": Family(
        False,
        _alike(
            "What is the best time to visit {x}?",
            "How much does {a} cost in {x}?",
            "Is it safe to drink tap water in {x}?",
            "What is the capital of {x}?",
            "How do I get {a} in {x}?",
        ),
        [("Spain", "Kenya", "Chile", "Norway", "Vietnam", "Egypt", "Canada", "Greece")],
        _THINGS,
    ),
    "turned round": Family(
        False,
        [
            ("Why does a {x} fear a {y}?", "Why does a {y} fear a {x}?"),
            ("Is {a} built on {b}?", "Is {b} built on {a}?"),
            ("How do I migrate from {a} to {b}?", "How do I migrate from {b} to {a}?"),
            ("Why is {a} faster than {b}?", "Why is {b} faster than {a}?"),
            ("Can a {x} beat a {y}?", "Can a {y} beat a {x}?"),
            ("Is a {x} stronger than a {y}?", "Is a {y} stronger than a {x}?"),
        ],
        [_ANIMALS],
        _TOOLS[:6],
    ),
    "kind of question": Family(
        False,
        [
            ("Who invented the {x}?", "When was the {x} invented?"),
            ("Where was the {x} invented?", "Who invented the {x}?"),
            ("How does a {x} work?", "How much does a {x} cost?"),
            ("Why did the {x} fail?", "When did the {x} fail?"),
            ("What is {a}?", "Who made {a}?"),
            ("How do I install {a}?", "Why should I install {a}?"),
            ("How big is a {x}?", "How old is a {x}?"),
        ],
        [("telephone", ""), ("steam engine", ""), ("microscope", ""), ("camera", ""), ("telescope", "")],
        _TOOLS,
        ordered=True,
    ),
    "subject": Family(
        False,
        _alike(
            "How does {x} handle failures?",
            "What is {x} used for?",
            "How do I back up {x}?",
            "Is {x} hard to learn?",
            "Who maintains {x}?",
        ),
        [_TOOLS],
    ),
    "aspect": Family(
        False,
        _alike("What is the {x} of {a}?", "How do I measure the {x} of {a}?", "Where can I find the {x} of {a}?"),
        [("price", "licence", "size", "memory use", "latency", "history", "architecture")],
        _TOOLS,
    ),
    "little words": Family(
        True,
        [
            ("How do I {a}?", "How can I {a}?"),
            ("How do I {a}?", "How to {a}?"),
            ("How do I {a}?", "How should I {a}?"),
            ("How do I {a}?", "What is the best way to {a}?"),
            ("What is the best way to {a}?", "What's the best way to {a}?"),
            ("What is the easiest way to {a}?", "What's the easiest way to {a}?"),
            ("How do you {a}?", "How does one {a}?"),
        ],
        filled=_DEEDS,
    ),
    "written otherwise": Family(
        True,
        [
            ("How do I {a}?", "how do i {a}"),
            ("How can I {a}?", "How can I {a}"),
            ("What is {x}?", "what is {x}"),
            ("What is {x}?", "What's {x}?"),
            ("Why is {x} so popular?", "why is {x} so popular??"),
            ("Who maintains {x}?", "who maintains {x} ?"),
        ],
        [(tool, "") for tool in _TOOLS],
        _DEEDS,
        ordered=True,
    ),
    "politeness": Family(
        True,
        [
            ("How do I {a}?", "Please tell me how I {a}."),
            ("How do I {a}?", "Can you tell me how to {a}?"),
            ("What is {x}?", "Could you explain what {x} is?"),
            ("What is {x} used for?", "Hi, can you please tell me what {x} is used for?"),
        ],
        [(tool, "") for tool in _TOOLS],
        _DEEDS,
        ordered=True,
    ),
    "other words": Family(
        True,
        [
            ("How do I fix {a}?", "How do I repair {a}?"),
            ("How do I get {a} cheaply?", "How can I obtain {a} at a low price?"),
            ("How do I begin with {x}?", "How do I start with {x}?"),
            ("What are the benefits of {x}?", "What are the advantages of {x}?"),
            ("Why is {x} so quick?", "Why is {x} so fast?"),
            ("Is {x} difficult to learn?", "Is {x} hard to learn?"),
            ("What does {x} do?", "What is {x} for?"),
            ("How do I remove {x}?", "How do I uninstall {x}?"),
            ("What is the meaning of {x}?", "What does {x} mean?"),
        ],
        [(tool, "") for tool in _TOOLS],
        _THINGS,
        ordered=True,
    ),
    "one or more": Family(
        True,
        [
            ("What is the benefit of {x}?", "What are the benefits of {x}?"),
            ("Which company uses {x}?", "Which companies use {x}?"),
            ("What is a good book about {x}?", "What are good books about {x}?"),
            ("What is an alternative to {x}?", "What are alternatives to {x}?"),
        ],
        [(tool, "") for tool in _TOOLS],
        ordered=True,
    ),
}

_PEOPLE = ("Marie Curie", "Alan Turing", "Ada Lovelace", "Isaac Newton", "Rosa Parks", "Frida Kahlo", "Nelson Mandela")
_LANGUAGES = ("Python", "Rust", "Java", "Haskell", "Go", "C++", "Kotlin")
_TASKS = (
    "read a file", "sort a list", "open a socket", "parse a date", "reverse a string", "make a web request",
    "write a unit test", "round a number",
)  # fmt: skip
_FOODS = ("rice", "salmon", "an avocado", "oat milk", "dark chocolate", "lentils", "a banana", "brown bread")

TEST: Mapping[str, Family] = {
    "person": Family(
        False,
        _alike(
            "Where was {x} born?", "What did {x} die of?", "Which schools did {x} go to?", "What is {x} famous for?"
        ),
        [_PEOPLE],
    ),
    "month or day": Family(
        False,
        _alike(
            "What is the weather like in Rome in {x}?",
            "Which holidays are there in {x}?",
            "What happened on the stock market last {x}?",
        ),
        [
            ("January", "March", "June", "August", "October", "December"),
            ("Monday", "Tuesday", "Thursday", "Friday", "Sunday"),
        ],
    ),
    "unit": Family(
        False,
        _alike("How heavy is an elephant in {x}?", "How much is one stone in {x}?", "How do I convert grams to {x}?")
        + _alike("What is the boiling point of ethanol in {x}?"),
        [("pounds", "kilograms", "ounces", "tons"), ("Celsius", "Fahrenheit", "Kelvin")],
    ),
    "before and after": Family(
        False,
        [
            ("Should I eat {a} before training?", "Should I eat {a} after training?"),
            ("What should I eat before {a}?", "What should I eat after {a}?"),
            ("How does {a} taste before it is cooked?", "How does {a} taste after it is cooked?"),
        ],
        filled=_FOODS,
    ),
    "programming language": Family(
        False,
        _alike("How do I {a} in {x}?", "What is the fastest way to {a} with {x}?", "Can you show how to {a} in {x}?"),
        [_LANGUAGES],
        _TASKS,
    ),
    "comparative": Family(
        False,
        _alike(
            "Which planet is the {x}?",
            "Which has {x} sugar, {a} or honey?",
            "Who is the {x} player in the league?",
            "What is the {x} river of Europe?",
        ),
        [("largest", "smallest"), ("most", "least"), ("tallest", "shortest"), ("oldest", "youngest"), ("more", "less")],
        _FOODS[:4],
    ),
    "without": Family(
        False,
        [
            ("How do I cook {a} with oil?", "How do I cook {a} without oil?"),
            ("Is there a diet with {a}?", "Is there a diet without {a}?"),
            ("Can I live with {a} alone?", "Can I live without {a} alone?"),
        ],
        filled=_FOODS,
    ),
    "roles": Family(
        False,
        [
            ("Did {x} admire {y}?", "Did {y} admire {x}?"),
            ("What did {x} say about {y}?", "What did {y} say about {x}?"),
            ("Was {x} older than {y}?", "Was {y} older than {x}?"),
            ("How did {x} influence {y}?", "How did {y} influence {x}?"),
        ],
        [_PEOPLE],
    ),
    "tense": Family(
        False,
        [
            ("Is {x} popular in schools?", "Was {x} popular in schools in the past?"),
            ("Who is in charge of {x}?", "Who used to be in charge of {x}?"),
            ("What is the syntax of {x} now?", "What will the syntax of {x} be in ten years?"),
        ],
        [(one, "") for one in _LANGUAGES],
        ordered=True,
    ),
    "who it is for": Family(
        False,
        _alike("How much {a} is healthy for {x}?", "Is {a} good for {x}?", "Can {x} eat {a}?"),
        [("dogs", "cats", "babies", "adults", "horses", "diabetics")],
        _FOODS,
    ),
    "first and last": Family(
        False,
        _alike("What was the {x} book by {a}?", "Who saw {a} {x}?", "What were the {x} words of {a}?"),
        [("first", "last")],
        _PEOPLE,
    ),
    "some or all": Family(
        False,
        _alike("Do {x} doctors recommend {a}?", "Are {x} kinds of {a} healthy?"),
        [("all", "some"), ("most", "few")],
        _FOODS,
    ),
    "currency": Family(
        False,
        _alike("How much is a kilo of {a} in {x}?", "What does {a} cost in {x}?"),
        [("dollars", "euros", "yen", "rupees")],
        _FOODS,
    ),
    "an added condition": Family(
        False,
        [
            ("How do I {a} in {x}?", "How do I {a} in {x} without the standard library?"),
            ("Is {x} worth learning?", "Is {x} worth learning at the age of sixty?"),
            ("How long does it take to learn {x}?", "How long does it take to forget {x}?"),
        ],
        [(one, "") for one in _LANGUAGES],
        _TASKS,
        ordered=True,
    ),
    "typing error": Family(
        True,
        [
            ("What is the best way to learn {x}?", "What is the bset way to learn {x}?"),
            ("Where was {a} born?", "Where was {a} bron?"),
            ("What is {a} famous for?", "What is {a} famuos for?"),
            ("How long does it take to learn {x}?", "How long does it tkae to learn {x}?"),
        ],
        [(one, "") for one in _LANGUAGES],
        _PEOPLE,
        ordered=True,
    ),
    "short form": Family(
        True,
        [
            ("Do they teach {x} in the United States?", "Do they teach {x} in the US?"),
            ("What are the pros and cons of {x}?", "What are the advantages and disadvantages of {x}?"),
            ("Is there a documentation for {x}?", "Are there docs for {x}?"),
            ("{x} versus Ruby, which is better?", "{x} vs Ruby, which is better?"),
        ],
        [(one, "") for one in _LANGUAGES],
        ordered=True,
    ),
    "number in words": Family(
        True,
        [
            ("Can I learn {x} in two months?", "Can I learn {x} in 2 months?"),
            ("What are ten facts about {a}?", "What are 10 facts about {a}?"),
            ("Is {x} among the five most used languages?", "Is {x} among the 5 most used languages?"),
        ],
        [(one, "") for one in _LANGUAGES],
        _PEOPLE,
        ordered=True,
    ),
    "passive": Family(
        True,
        [
            ("Which prizes did {a} win?", "Which prizes were won by {a}?"),
            ("Which companies use {x}?", "{x} is used by which companies?"),
            ("Who designed {x}?", "By whom was {x} designed?"),
        ],
        [(one, "") for one in _LANGUAGES],
        _PEOPLE,
        ordered=True,
    ),
    "either way round": Family(
        True,
        [
            ("What is the difference between {x} and {y}?", "What is the difference between {y} and {x}?"),
            ("How do {x} and {y} compare?", "How do {y} and {x} compare?"),
            ("Did {a} and {b} ever meet?", "Did {b} and {a} ever meet?"),
        ],
        [_LANGUAGES],
        _PEOPLE,
    ),
    "filler": Family(
        True,
        [
            ("How do I {a} in {x}?", "So how do I actually {a} in {x}?"),
            ("How do I {a} in {x}?", "Quick question: how do I {a} in {x}?"),
            ("Who designed {x}?", "Does anybody know who designed {x}?"),
            ("Is {x} worth learning?", "I was wondering, is {x} worth learning?"),
        ],
        [(one, "") for one in _LANGUAGES],
        _TASKS,
        ordered=True,
    ),
    "same meaning": Family(
        True,
        [
            ("Where was {a} born?", "What is the birthplace of {a}?"),
            ("How old was {a} at death?", "At what age did {a} die?"),
            ("Who designed {x}?", "Who is the designer of {x}?"),
            ("Is {x} worth learning?", "Does it pay to learn {x}?"),
        ],
        [(one, "") for one in _LANGUAGES],
        _PEOPLE,
        ordered=True,
    ),
}
