"""Which questions to answer before they are asked."""
