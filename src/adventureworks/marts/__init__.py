"""The marts: one folder per domain with a `.sql` model per mart, and the steps that every analysis goes through."""
