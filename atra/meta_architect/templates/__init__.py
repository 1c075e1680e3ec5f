"""The registry of repair templates: every way that ATRA knows of to change a statement.

A new template is one function from a `Spot` to proposals in one of the modules beside this one, and one entry below.

Shares follow how often each kind of change was the whole fix in TSSB-3M, about 1.4 million classified bug fixes of one
statement in Python (Richter, Wehrheim 2022, arXiv:2201.12046): thousands of fixes, plus 15 for each so that the rare
are not starved, a kind's count divided among its templates. Kinds that the study leaves unclassified (1.15 million
fixes), above all new, deleted and moved statements, get shares by judgement, marked so. Operators have three times
the share that follows from the study: what tests catch is less often a wrong name than what is committed as a fix is.
The factor was chosen on mutants of four packages on which no benchmark reports (EXPERIMENTS.md, 2026-11-24).
"""

from atra.meta_architect.templates import (
    calls,
    conditions,
    coupled,
    exceptions,
    expressions,
    interfaces,
    names,
    numbers,
    operators,
    statements,
)
from atra.meta_architect.templates.spot import Template

TEMPLATES: tuple[Template, ...] = (
    # binary operator 29, unary operator 15; thrice, see above
    Template("comparison-operator", "operator", 90, operators.comparison),
    Template("boundary", "operator", 45, operators.boundary),
    Template("arithmetic-operator", "operator", 75, operators.arithmetic),
    Template("any-operator", "operator", 30, operators.any_operator),
    Template("augmented-operator", "operator", 60, operators.augmented),
    Template("connective", "operator", 60, operators.connective),
    Template("negation", "operator", 75, operators.negation),
    Template("sign", "operator", 60, operators.sign),
    # binary operand 174, shared among the ways in which an operand is wrong
    Template("off-by-one", "step", 60, numbers.off_by_one),
    Template("scale", "step", 20, numbers.scale),
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
    # same function more arguments 150, fewer 50, keyword 20, swapped 8
    Template("more-arguments", "call", 165, calls.more_arguments),
    Template("fewer-arguments", "call", 65, calls.fewer_arguments),
    Template("keyword", "call", 35, calls.keyword),
    Template("swapped-arguments", "call", 23, calls.swapped_arguments),
    # function round an expression 117, method call added 60
    Template("wrapped", "call", 150, calls.wrapped),
    Template("called", "call", 20, calls.called),
    Template("ordered", "call", 20, calls.ordered),
    Template("extremum", "call", 30, calls.extremum),
    # more specific if 68, less specific if 22
    Template("extended-condition", "condition", 85, conditions.extended_condition),
    Template("dropped-condition", "condition", 40, conditions.dropped_condition),
    Template("filtered", "condition", 20, conditions.filtered),
    Template("returned-condition", "condition", 20, conditions.returned_condition),
    # element added to an iterable 57, attribute access added 32
    Template("element", "shape", 60, expressions.element),
    Template("attribute-access", "shape", 47, expressions.attribute_access),
    # unclassified in the study: by judgement
    Template("swapped-elements", "shape", 23, expressions.swapped_elements),
    Template("unwrapped", "shape", 40, expressions.unwrapped),
    Template("sliced", "shape", 25, expressions.sliced),
    Template("indexed", "shape", 20, expressions.indexed),
    Template("guarded", "condition", 25, conditions.guarded),
    Template("inserted-call", "statement", 50, statements.inserted_call),
    Template("inserted-assignment", "statement", 60, statements.inserted_assignment),
    Template("inserted-jump", "statement", 40, statements.inserted_jump),
    Template("inserted-guard", "statement", 80, statements.inserted_guard),
    Template("jump", "statement", 20, statements.jump),
    Template("deleted", "statement", 25, statements.deleted),
    Template("moved", "statement", 40, statements.moved),
    Template("early-else", "statement", 40, statements.early_else),
    Template("branch", "statement", 20, statements.branch),
    Template("kept-result", "statement", 40, statements.kept_result),
    Template("awaited", "call", 60, calls.awaited),
    Template("mutation", "statement", 30, statements.mutation),
    Template("mutable-default", "statement", 40, statements.mutable_default),
    Template("changed-while-iterated", "statement", 40, exceptions.changed_while_iterated),
    Template("caught", "error", 40, exceptions.caught),
    Template("coupled", "pair", 60, coupled.coupled),
    Template("paired", "pair", 60, coupled.paired),
    # these speak only after an error of their kind, which makes them likely
    Template("missing-key", "error", 150, exceptions.missing_key),
    Template("none-value", "error", 150, exceptions.none_value),
    Template("out-of-range", "error", 100, exceptions.out_of_range),
    Template("division-by-zero", "error", 200, exceptions.division_by_zero),
    Template("unknown-name", "error", 250, exceptions.unknown_name),
    Template("unknown-attribute", "error", 200, exceptions.unknown_attribute),
    Template("wrong-type", "error", 100, exceptions.wrong_type),
    Template("wrong-operands", "error", 250, operators.wrong_operands),
    Template("wrong-arguments", "error", 200, interfaces.wrong_arguments),
    Template("endless-recursion", "error", 150, interfaces.endless_recursion),
    Template("undecodable", "error", 250, interfaces.undecodable),
)
