"""Messages on their way: kept in the warehouse until a channel has taken them.

`letters` is what is told, `routes` who is told, when and in which language, `post` the messages in `ops.outbox`, and
`sending` hands those that are due to the channels. What a channel is (Slack, a mail server) is the business of
`adventureworks.orchestration.channels`.
"""

from adventureworks.outbox.letters import Enclosure, Letter

__all__ = ["Enclosure", "Letter"]
