"""The evidence experts: a department each, a way to look at a case, and a ballot. None of them needs a model.

Each reads the case and nothing else, so the same case gives the same ballot, today and tomorrow, here and elsewhere.
"""
