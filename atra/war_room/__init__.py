"""Three to five experts of different departments, blind ballots, one decision that says who disagreed."""
