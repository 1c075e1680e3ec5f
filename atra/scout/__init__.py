"""What is new: articles from feeds, and the subjects that are suddenly spoken of."""
