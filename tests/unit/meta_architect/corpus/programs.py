"""The programs as (name, text, wrong, right[, errors])."""

PROGRAMS: tuple[tuple, ...] = (  # type: ignore[type-arg]
    (
        "cart-total",
        '''
def total(lines, discount=0):
    """Return the price of all lines."""
    amount = 0
    for line in lines:
        amount += line["price"] * line["quantity"]
        amount = line["price"]
    return amount - discount
''',
        '        amount = line["price"]\n',
        "",
    ),
    (
        "cart-quantity",
        """
class Cart:
    def __init__(self):
        self.lines = {}

    def add(self, name, quantity=1):
        self.lines[name] = quantity

    def count(self):
        return sum(self.lines.values())
""",
        "self.lines[name] = quantity",
        "self.lines[name] = self.lines.get(name, 0) + quantity",
    ),
    (
        "paging-start",
        """
def page(items, number, size):
    start = number * size
    end = start + size
    return items[start:end]
""",
        "number * size",
        "(number - 1) * size",
    ),
    (
        "paging-count",
        """
def pages(total, size):
    full = total // size
    if total % size > 1:
        full += 1
    return full
""",
        "total % size > 1",
        "total % size > 0",
    ),
    (
        "leap-year",
        """
def is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 and year % 400 == 0)
""",
        "year % 100 != 0 and year % 400 == 0",
        "year % 100 != 0 or year % 400 == 0",
    ),
    (
        "days-between",
        """
from datetime import date


def nights(arrival: date, departure: date) -> int:
    stay = departure - arrival
    return stay.seconds
""",
        "stay.seconds",
        "stay.days",
    ),
    (
        "overlap",
        """
def overlaps(start, end, other_start, other_end):
    return start < other_end and other_start < start
""",
        "other_start < start",
        "other_start < end",
    ),
    (
        "parse-pairs",
        """
def parse(text):
    pairs = {}
    for part in text.split(";"):
        key, value = part.split("=")
        pairs[key.strip()] = value.strip()
    return pairs
""",
        'part.split("=")',
        'part.split("=", maxsplit=1)',
        (("ValueError", "too many values to unpack (expected 2)"),),
    ),
    (
        "parse-blank",
        """
def numbers(text):
    found = []
    for word in text.split(","):
        found.append(int(word))
    return found
""",
        "        found.append(int(word))",
        "        if not word:\n            continue\n        found.append(int(word))",
        (("ValueError", "invalid literal for int() with base 10: ''"),),
    ),
    (
        "inventory-key",
        """
def tally(orders):
    stock = {}
    for name, amount in orders:
        stock[name] += amount
    return stock
""",
        "stock[name] += amount",
        "stock[name] = stock.get(name, 0) + amount",
        (("KeyError", "'apple'"),),
    ),
    (
        "inventory-reserve",
        """
class Stock:
    def __init__(self, amount):
        self.amount = amount
        self.reserved = 0

    def reserve(self, wanted):
        if wanted > self.amount:
            return False
        self.reserved += wanted
        return True
""",
        "wanted > self.amount",
        "wanted > self.amount - self.reserved",
    ),
    (
        "median",
        """
def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return ordered[middle]
    return (ordered[middle] + ordered[middle + 1]) / 2
""",
        "middle + 1",
        "middle - 1",
    ),
    (
        "mean-empty",
        """
def mean(values):
    total = sum(values)
    return total / len(values)
""",
        "    total = sum(values)",
        "    if not values:\n        return 0\n    total = sum(values)",
        (("ZeroDivisionError", "division by zero"),),
    ),
    (
        "word-count",
        """
def count_words(text):
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts
""",
        "text.split()",
        "text.lower().split()",
    ),
    (
        "truncate",
        """
def truncate(text, limit):
    if len(text) <= limit:
        return text
    return text[:limit] + "..."
""",
        "text[:limit]",
        "text[:limit - 3]",
    ),
    (
        "slug",
        """
def slug(title):
    words = title.lower().split()
    return "_".join(words)
""",
        '"_"',
        '"-"',
    ),
    (
        "palindrome",
        """
def is_palindrome(text):
    letters = [letter.lower() for letter in text]
    return letters == letters[::-1]
""",
        "for letter in text]",
        "for letter in text if letter.isalpha()]",
    ),
    (
        "graph-visited",
        """
def reachable(graph, start):
    seen = set()
    waiting = [start]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        for other in graph[node]:
            waiting.append(other)
    return seen
""",
        "        for other in graph[node]:",
        "        seen.add(node)\n        for other in graph[node]:",
    ),
    (
        "graph-degree",
        """
def in_degrees(edges):
    degrees = {}
    for source, target in edges:
        degrees.setdefault(source, 0)
        degrees.setdefault(target, 0)
        degrees[source] += 1
    return degrees
""",
        "degrees[source] += 1",
        "degrees[target] += 1",
    ),
    (
        "retry-loop",
        """
def retry(call, attempts):
    for attempt in range(1, attempts):
        try:
            return call()
        except OSError:
            if attempt == attempts:
                raise
""",
        "range(1, attempts)",
        "range(1, attempts + 1)",
    ),
    (
        "retry-delay",
        """
def delays(base, attempts, most):
    found = []
    for attempt in range(attempts):
        found.append(max(base * 2 ** attempt, most))
    return found
""",
        "max(",
        "min(",
    ),
    (
        "cache-default",
        """
def remember(key, value, cache={}):
    cache[key] = value
    return cache
""",
        "cache={}):\n",
        "cache=None):\n    if cache is None:\n        cache = {}\n",
    ),
    (
        "sorted-result",
        """
def ranking(scores):
    names = list(scores)
    names = names.sort()
    return names
""",
        "names = names.sort()",
        "names.sort()",
    ),
    (
        "sorted-order",
        """
def top(scores, count):
    order = sorted(scores, key=scores.get)
    return order[:count]
""",
        "key=scores.get)",
        "key=scores.get, reverse=True)",
    ),
    (
        "missing-return",
        """
def normalise(name):
    cleaned = name.strip().lower()
    cleaned.replace(" ", "-")
    return cleaned
""",
        '    cleaned.replace(" ", "-")',
        '    cleaned = cleaned.replace(" ", "-")',
    ),
    (
        "account-transfer",
        """
class Account:
    def __init__(self, balance):
        self.balance = balance

    def transfer(self, other, amount):
        if amount > self.balance:
            raise ValueError("not enough")
        self.balance -= amount
        other.balance -= amount
""",
        "other.balance -= amount",
        "other.balance += amount",
    ),
    (
        "account-limit",
        """
def may_withdraw(balance, amount, overdraft):
    return amount < balance + overdraft
""",
        "amount < balance",
        "amount <= balance",
    ),
    (
        "user-name",
        """
def greeting(user):
    name = user.get("name")
    return "Hello " + name.title()
""",
        "    return",
        '    if name is None:\n        name = ""\n    return',
        (("AttributeError", "'NoneType' object has no attribute 'title'"),),
    ),
    (
        "missing-import",
        """
def area(radius):
    return math.pi * radius ** 2
""",
        "\ndef area",
        "import math\n\ndef area",
        (("NameError", "name 'math' is not defined"),),
    ),
    (
        "self-forgotten",
        """
class Counter:
    def __init__(self):
        self.value = 0

    def step(self):
        self.value = value + 1
        return self.value
""",
        "= value + 1",
        "= self.value + 1",
        (("NameError", "name 'value' is not defined"),),
    ),
    (
        "typo",
        """
def area(width, height):
    return widht * height
""",
        "widht",
        "width",
        (("NameError", "name 'widht' is not defined"),),
    ),
    (
        "loop-return",
        """
def all_positive(numbers):
    for number in numbers:
        if number <= 0:
            return False
        return True
""",
        "        return True",
        "    return True",
    ),
    (
        "accumulate-string",
        """
def receipt(lines):
    text = ""
    for name, price in lines:
        text = name + ": " + str(price) + "\\n"
    return text
""",
        "text = name",
        "text += name",
    ),
    (
        "string-number",
        """
def label(name, number):
    return name + "-" + number
""",
        "+ number",
        "+ str(number)",
        (("TypeError", 'can only concatenate str (not "int") to str'),),
    ),
    (
        "index-bound",
        """
def rises(values):
    count = 0
    for i in range(len(values)):
        if values[i] < values[i + 1]:
            count += 1
    return count
""",
        "len(values))",
        "len(values) - 1)",
        (("IndexError", "list index out of range"),),
    ),
    (
        "any-all",
        """
def complete(form, required):
    return any(name in form for name in required)
""",
        "any(",
        "all(",
    ),
    (
        "chunk-rest",
        """
def chunks(items, size):
    parts = []
    current = []
    for item in items:
        current.append(item)
        if len(current) == size:
            parts.append(current)
            current = []
    return parts
""",
        "    return parts",
        "    if current:\n        parts.append(current)\n    return parts",
    ),
    (
        "tree-depth",
        """
def depth(node):
    if node is None:
        return 0
    return max(depth(node.left), depth(node.right))
""",
        "depth(node.right))",
        "depth(node.right)) + 1",
    ),
    (
        "tree-insert",
        """
def insert(node, key):
    if node is None:
        return {"key": key, "left": None, "right": None}
    if key < node["key"]:
        node["left"] = insert(node["left"], key)
    else:
        node["right"] = insert(node["left"], key)
    return node
""",
        'node["right"] = insert(node["left"], key)',
        'node["right"] = insert(node["right"], key)',
    ),
    (
        "temperature",
        """
def to_fahrenheit(celsius):
    return celsius * 5 / 9 + 32
""",
        "celsius * 5 / 9",
        "celsius * 9 / 5",
    ),
)
