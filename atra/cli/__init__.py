"""`atra …`: one module per group of commands. Progress goes to standard error, results to standard output."""
