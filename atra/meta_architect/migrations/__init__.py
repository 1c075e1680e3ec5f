"""Writes alembic migrations for repositories whose models have moved on, and proves them before they are committed.

`addresses` finds the environment by reading, `scratch` runs it in a box beside a database (`atra.sandbox` has what runs
there); `catalog` says what a schema is, `rows` fills it, `plan` decides what may be done, `revision` makes the file
readable; `drafting`, `revising`, `proving` and `testing` are the steps, `locks` and `telling` say what a person must
know.
"""
