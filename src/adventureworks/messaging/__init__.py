"""Messages: their content, language, recipients and delivery.

`notices` and the incidents record what happened; `wording`, `stock_wording` and `incident_messages` put it into words;
`bulletin` renders it for mail and Slack (`rendered`). `routes` and `recipients` define who receives a message and when,
`composing` adds it to the outbox (`store`), `sending` hands due messages to the channels. The channels themselves are
in `adventureworks.orchestration.channels`.
"""

from adventureworks.messaging.rendered import Attachment, RenderedMessage

__all__ = ["Attachment", "RenderedMessage"]
