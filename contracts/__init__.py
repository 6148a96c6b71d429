"""What one row must be: the promise between the producer of a table and its consumers. Imports nothing of `src`."""
