"""Runs code nobody trusts, in boxes that see a throw-away copy of one tree and nothing else worth having.

`policy` says what a box shows, `protocol` what every sandbox does, `reports` what a run of tests tells, `runner` how a
project's tests are run once or many times.
"""
