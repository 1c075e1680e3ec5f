"""How many questions of a news quiz a cache answers, with and without answers made from last week's news.

    python -m benchmarks.precache --realtimeqa CHECKOUT [--vectors FILE]

The questions are those of RealTimeQA (Kasai et al. 2022, arXiv:2207.13332; github.com/realtimeqa/realtimeqa_public) up
to the end of 2024, walked through in order of their dates: at each date the cache holds the questions of earlier dates
with their right answers (reactive), and the questions that `atra.precache` makes of headlines of the seven days before,
each answered in the words of its article (predictive). Two controls make as many of the news of a year earlier, and of
articles drawn from all earlier ones. Nothing is searched when a question is asked: what is served was kept before.

A served answer counts as right where it holds the right choice of the quiz and none of the other three, as words. The
decision what is near enough is a logistic regression fitted on the weeks of 2022; what is told was measured on those of
2023 and 2024. The articles of the data set were found by searches for these very questions, so the share of topics
that they cover is an upper bound.
"""

import argparse
import json
import math
import random
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from atra.llm.minilm import MiniLM
from atra.precache.questions import completed, questions
from atra.precache.records import Story
from atra.scout.extractive import Passage, answer
from atra.semantic_cache.decision import Decider
from benchmarks.results import FOLDER, about, console, table, write

LAST_YEAR = 2024
FIRST = date(2022, 6, 10)  # the first week with articles
TOLD_FROM = date(2023, 1, 1)
WINDOW = range(1, 8)  # days before a question
YEAR = timedelta(days=364)
PER_STORY = 4
ARMS = ("reactive", "predictive", "year-shifted", "random")
_FILE = re.compile(r"(?:past|backnumber)/(20\d\d)/\d{8}(?:-\d{8})?_(qa|gcs)\.jsonl")


@dataclass(frozen=True)
class Asked:
    day: date
    question: str
    right: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """An answer in the cache: made on `day` (of its news, or when its question was asked), from `source`."""

    question: str
    answer: str
    day: date
    source: str
    predicted: bool


def load(checkout: Path) -> tuple[list[Asked], dict[date, list[Story]]]:
    """Return the questions in order of their dates, and the articles by theirs; nothing after `LAST_YEAR`."""
    quiz: dict[tuple[date, str], Asked] = {}
    stories: dict[str, tuple[date, Story]] = {}
    names = _git(checkout, "ls-tree", "-r", "--name-only", "HEAD").splitlines()
    for name in sorted(names):
        found = _FILE.fullmatch(name)
        if not found or int(found[1]) > LAST_YEAR:
            continue
        for row in map(json.loads, filter(str.strip, _git(checkout, "show", f"HEAD:{name}").splitlines())):
            if found[2] == "qa":
                one = _asked(row)
                if one and one.day.year <= LAST_YEAR:
                    quiz[one.day, one.question] = one
            else:
                stories.update(_stories(row.get("search_result", ())))
    by_day: dict[date, list[Story]] = defaultdict(list)
    for day, story in stories.values():
        if day.year <= LAST_YEAR:
            by_day[day].append(story)
    return sorted(quiz.values(), key=lambda one: (one.day, one.question)), by_day


def predictions(stories: Iterable[tuple[date, Story]]) -> list[Kept]:
    """Return what pre-caching would keep of these articles: questions of headlines with answers out of the article."""
    kept = []
    for day, story in stories:
        passage = Passage(story.text[:20_000], story.title, source=story.source)
        made = [one for one in questions(story) if one.template.startswith("headline")]
        for one in made[:PER_STORY]:
            found = answer(one.question, [passage])
            if found:
                kept.append(Kept(one.question, completed(one.said, found.text), day, story.source, predicted=True))
    return kept


def is_right(asked: Asked, said: str) -> bool:
    """Say whether the text holds the right choice and none of the others, word for word but for case and marks."""
    text = _plain(said)
    return _plain(asked.right) in text and not any(_plain(one) in text for one in asked.others)


class Vectors:
    """Vectors of texts; kept in a file between runs."""

    def __init__(self, file: Path | None) -> None:
        self._file, self._known = file, {}
        if file and file.exists():
            with np.load(file, allow_pickle=False) as kept:
                self._known = dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))

    def learn(self, texts: Iterable[str]) -> None:
        model = MiniLM()
        new = sorted(set(texts) - self._known.keys(), key=len)
        with Progress(console=console()) as progress:
            task = progress.add_task("embedding", total=len(new))
            for at in range(0, len(new), 64):
                some = new[at : at + 64]
                self._known.update(zip(some, model.embed(some), strict=True))
                progress.update(task, advance=len(some))
        if self._file and new:
            np.savez(self._file, texts=np.array(list(self._known)), vectors=np.stack(list(self._known.values())))

    def of(self, texts: Sequence[str]) -> Any:
        return np.stack([self._known[text] for text in texts])


def features(asked: Asked, kept: Kept, cosine: float) -> list[float]:
    """Return what the decision looks at; nothing of it knows the choices."""
    words, told = _content(asked.question), _content(f"{kept.question} {kept.answer}")
    shared = words & told
    return [
        cosine,
        max(0.0, cosine - 0.6),
        len(shared) / max(1, len(words)),
        len([word for word in shared if len(word) > 6]),
        math.log(1 + (asked.day - kept.day).days),
        math.log(len(words)),
    ]


class Decision:
    """A logistic regression on standardised features, fitted by Newton's method with a small ridge."""

    def __init__(self, rows: Sequence[Sequence[float]], right: Sequence[bool]) -> None:
        x = np.array(rows)
        self._mean, self._scale = x.mean(axis=0), x.std(axis=0) + 1e-9
        x, y = self._ready(x), np.array(right, dtype=float)
        self._weights = np.zeros(x.shape[1])
        for _ in range(30):
            p = 1 / (1 + np.exp(-x @ self._weights))
            bend = (x.T * (p * (1 - p))) @ x + 0.1 * np.eye(x.shape[1])
            self._weights += np.linalg.solve(bend, x.T @ (y - p) - 0.1 * self._weights)

    def probability(self, row: Sequence[float]) -> float:
        return float(1 / (1 + np.exp(-(self._ready(np.array([row])) @ self._weights)[0])))

    def _ready(self, x: Any) -> Any:
        return np.hstack([(x - self._mean) / self._scale, np.ones((len(x), 1))])


@dataclass(frozen=True)
class Offer:
    """The best of one kind that the cache holds for a question."""

    kept: Kept
    cosine: float
    right: bool
    features: tuple[float, ...]


def offers(asked: Asked, held: Sequence[Kept], matrix: Any, vector: Any, most: int = 5) -> list[Offer]:
    """Return the entries nearest to the question, of each source the nearest."""
    if not held:
        return []
    cosines = matrix @ vector
    found: dict[str, Offer] = {}
    for at in np.argsort(-cosines)[: 4 * most]:
        kept, cosine = held[at], float(cosines[at])
        if kept.source not in found and len(found) < most:
            row = tuple(features(asked, kept, cosine))
            found[kept.source] = Offer(kept, cosine, is_right(asked, kept.answer), row)
    return list(found.values())


def walk(quiz: Sequence[Asked], news: dict[date, list[Story]], vectors: Vectors) -> list[dict[str, Any]]:
    """Return for each question from `FIRST` on what each arm could serve."""
    days = sorted({one.day for one in quiz if one.day >= FIRST})
    rng = random.Random(0)
    wanted = {day - timedelta(days=back) for day in days for back in WINDOW}
    made = {day: predictions((day, one) for one in news.get(day, ())) for day in wanted | {d - YEAR for d in wanted}}
    vectors.learn([one.question for one in quiz] + [one.question for some in made.values() for one in some])
    past = [Kept(one.question, one.right, one.day, f"{one.day}:{one.question}", predicted=False) for one in quiz]
    past_matrix = vectors.of([one.question for one in past])
    rows = []
    for day in days:
        window = [one for back in WINDOW for one in made[day - timedelta(days=back)]]
        shifted = [one for back in WINDOW for one in made[day - YEAR - timedelta(days=back)]]
        earlier = [one for when, some in made.items() if when < day - timedelta(days=WINDOW.stop) for one in some]
        held = {
            "predictive": window,
            "year-shifted": shifted if len(shifted) <= len(window) else rng.sample(shifted, len(window)),
            "random": rng.sample(earlier, min(len(earlier), len(window))),
        }
        matrices = {name: vectors.of([one.question for one in some]) if some else None for name, some in held.items()}
        before = sum(one.day < day for one in past)
        for asked in (one for one in quiz if one.day == day):
            [vector] = vectors.of([asked.question])
            found = {name: offers(asked, some, matrices[name], vector) for name, some in held.items()}
            found["reactive"] = offers(asked, past[:before], past_matrix[:before], vector)
            rows.append({"asked": asked, "offers": found, "held": {name: len(some) for name, some in held.items()}})
    return rows


def measure(rows: Sequence[dict[str, Any]], least: float, deciders: dict[bool, Any]) -> list[dict[str, Any]]:
    """Return for each arm what it served where what is likeliest is likelier right than `least`."""
    told = []
    for arm in ARMS:
        weeks: dict[date, list[int]] = defaultdict(lambda: [0, 0, 0])
        used: set[tuple[date, str, str]] = set()
        for row in rows:
            best = max(
                ((deciders[one.kept.predicted](row["asked"], one), one) for one in _of_arm(row, arm)),
                key=lambda pair: pair[0],
                default=None,
            )
            week = weeks[row["asked"].day]
            week[0] += 1
            if best and best[0] >= least:
                week[1 if best[1].right else 2] += 1
                if best[1].kept.predicted:
                    used.add((best[1].kept.day, best[1].kept.source, best[1].kept.question))
        total = np.array(list(weeks.values()))
        asked, right, wrong = total.sum(axis=0)
        held = sum({row["asked"].day: row["held"].get(arm, 0) for row in rows}.values())
        told.append(
            {
                "arm": arm if arm == "reactive" else f"reactive + {arm}",
                "decision": f"p >= {least:g}",
                "questions": int(asked),
                "right_per_100": 100 * float(right) / asked,
                "low": _bootstrap(total, 5),
                "high": _bootstrap(total, 95),
                "wrong_per_100": 100 * float(wrong) / asked,
                "right_of_hits_%": 100 * float(right) / max(1, right + wrong),
                "predicted": held,
                "unused_%": 100 * (1 - len(used) / held) if held else None,
            }
        )
    return told


def fit(rows: Sequence[dict[str, Any]]) -> dict[bool, Any]:
    """Return the decisions on past and on predicted questions, as fitted on these rows."""
    fitted = {}
    for predicted in (False, True):
        arm = "predictive" if predicted else "reactive"
        seen = [one for row in rows for one in row["offers"][arm]]
        decision = Decision([one.features for one in seen], [one.right for one in seen])
        fitted[predicted] = lambda _, one, decision=decision: decision.probability(one.features)
    return fitted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--realtimeqa", type=Path, required=True, help="a checkout of realtimeqa/realtimeqa_public")
    parser.add_argument("--vectors", type=Path, help="where vectors are kept between runs, *.npz")
    given = parser.parse_args()
    now = datetime.now(UTC)
    quiz, news = load(given.realtimeqa)
    rows = walk(quiz, news, Vectors(given.vectors))
    tuned = [row for row in rows if row["asked"].day < TOLD_FROM]
    told = [row for row in rows if row["asked"].day >= TOLD_FROM]
    deciders = fit(tuned)
    found = [one for least in (0.5, 0.33, 0.25, 0.15, 0.1, 0.05) for one in measure(told, least, deciders)]
    shipped = Decider.shipped()
    ours = dict.fromkeys(
        (False, True), lambda asked, one: shipped.probability(asked.question, one.kept.question, one.cosine)
    )
    found += [{**one, "decision": "as shipped, p >= 0.98"} for one in measure(told, 0.98, ours)]
    columns = [*found[0]]
    console().print(table("RealTimeQA, weeks of 2023 and 2024", found, columns))
    write(
        FOLDER / "precache.json",
        about(now),
        {"tuned_on": len(tuned), "measured_on": len(told), "articles": sum(map(len, news.values()))},
        found,
    )


def _of_arm(row: dict[str, Any], arm: str) -> list[Offer]:
    own = row["offers"]["reactive"]
    return own if arm == "reactive" else [*own, *row["offers"][arm]]


def _bootstrap(weeks: Any, percentile: float) -> float:
    """Return a percentile of right answers per hundred questions, over draws of whole weeks."""
    drawn = np.random.default_rng(0).integers(0, len(weeks), (2000, len(weeks)))
    sums = weeks[drawn].sum(axis=1)
    return float(np.percentile(100 * sums[:, 1] / sums[:, 0], percentile))


def _asked(row: dict[str, Any]) -> Asked | None:
    if len(row.get("answer", ())) != 1 or not str(row["answer"][0]).isdigit():
        return None
    at = int(row["answer"][0])
    others = tuple(one for place, one in enumerate(row["choices"]) if place != at)
    return Asked(_day(row["question_date"]), row["question_sentence"], row["choices"][at], others)


def _stories(results: Iterable[dict[str, Any]]) -> dict[str, tuple[date, Story]]:
    return {
        one["url"]: (_day(one["publish_date"]), Story(one["url"], one["title"], one["text"] or "", one["url"]))
        for one in results
        if one.get("publish_date") and one.get("title")
    }


def _day(text: str) -> date:
    return date.fromisoformat(text[:10].replace("/", "-"))


def _plain(text: str) -> str:
    words = re.sub(r"[^\w$%.]+", " ", text.lower().replace(",", "").replace("\u2019", "'").replace("'s", ""))
    return f" {re.sub(r'[.](?=$|[^0-9])', ' ', words).strip()} ".replace("  ", " ")


_EMPTY = frozenset(
    re.findall(
        r"\w+",
        """
        a an and are as at be by did do for from had has have how in is it its of on or that the their this to was were
        what when where which who whose why will with week
        """,
    )
)


def _content(text: str) -> set[str]:
    words = re.findall(r"\w[\w.-]*\w|\w", text.lower())
    return {re.sub(r"(?:'s|ing|ed|es|s)$", "", word) if len(word) > 4 else word for word in words} - _EMPTY


def _git(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(("git", "-C", str(checkout), *arguments), check=True, capture_output=True)
    return done.stdout.decode("utf-8", "replace")


if __name__ == "__main__":
    main()
