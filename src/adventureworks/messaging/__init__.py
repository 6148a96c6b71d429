"""Messages: what is said, in which language, to whom, and how it gets there.

`notices` and the incidents say what happened; `wording`, `stock_wording` and `incident_messages` put it into words;
`bulletin` renders it as mail and Slack blocks (`rendered`). `routes` and `recipients` say who receives it and when,
`composing` adds it to the outbox (`store`), `sending` hands due messages to the channels. The channels themselves are
in `adventureworks.orchestration.channels`.
"""

from adventureworks.messaging.rendered import Attachment, RenderedMessage

__all__ = ["Attachment", "RenderedMessage"]
