"""The production marts, and what they announce."""
