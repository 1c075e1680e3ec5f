"""The registry of repair templates: every way that ATRA knows of to change a statement.

A new template is one function from a `Spot` to proposals in one of the modules beside this one, and one entry below.

Shares follow how often each kind of change was the whole fix in TSSB-3M, about 1.4 million classified bug fixes of one
statement in Python (Richter, Wehrheim 2022, arXiv:2201.12046): thousands of fixes, plus 15 for each so that the rare
are not starved, a kind's count divided among its templates. Kinds that the study leaves unclassified (1.15 million
fixes), above all new, deleted and moved statements, get shares by judgement, marked so.
"""

from atra.meta_architect.templates import expressions, names, numbers, operators
from atra.meta_architect.templates.spot import Template

TEMPLATES: tuple[Template, ...] = (
    # binary operator 29, unary operator 15
    Template("comparison-operator", "operator", 30, operators.comparison),
    Template("boundary", "operator", 15, operators.boundary),
    Template("arithmetic-operator", "operator", 25, operators.arithmetic),
    Template("augmented-operator", "operator", 20, operators.augmented),
    Template("connective", "operator", 20, operators.connective),
    Template("negation", "operator", 25, operators.negation),
    Template("sign", "operator", 20, operators.sign),
    # binary operand 174, shared among the ways in which an operand is wrong
    Template("off-by-one", "number", 60, numbers.off_by_one),
    Template("scale", "number", 20, numbers.scale),
    Template("swapped-operands", "shape", 30, expressions.swapped_operands),
    Template("dropped-operand", "shape", 40, expressions.dropped_operand),
    Template("added-term", "shape", 40, expressions.added_term),
    # numeric literal 97, boolean literal 37, constant type 6
    Template("number", "literal", 112, numbers.number),
    Template("boolean", "literal", 52, numbers.boolean),
    Template("string", "literal", 50, numbers.string),
    Template("empty-collection", "literal", 21, numbers.empty_collection),
    # identifier used 237, attribute used 104, function name 134, wrong caller 25
    Template("variable", "name", 200, names.variable),
    Template("expression-to-name", "name", 50, expressions.to_name),
    Template("attribute", "name", 119, names.attribute),
    Template("function", "name", 75, names.function),
    Template("method", "name", 75, names.method),
    Template("target", "name", 40, names.target),
    # swapped arguments 8, element added to an iterable 57, attribute access added 32
    Template("swapped-elements", "shape", 20, expressions.swapped_elements),
    Template("element", "shape", 60, expressions.element),
    Template("attribute-access", "shape", 47, expressions.attribute_access),
    # unclassified in the study: by judgement
    Template("unwrapped", "shape", 40, expressions.unwrapped),
    Template("sliced", "shape", 25, expressions.sliced),
    Template("indexed", "shape", 20, expressions.indexed),
)
