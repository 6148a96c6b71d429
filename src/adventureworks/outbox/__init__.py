"""Messages on their way: kept in the warehouse until a channel has taken them."""

from adventureworks.outbox.letters import Enclosure, Letter

__all__ = ["Enclosure", "Letter"]
