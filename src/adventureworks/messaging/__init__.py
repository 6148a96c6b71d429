"""Messages: their content, language, recipients and delivery.

What a message says: `wording` has the sentences of incidents, `notice_wording` those of `notices`, `incident_messages`
puts them into a `bulletin`, which is `rendered` for mail and, by `slack_blocks`, for Slack. Who receives it, and when:
`routes`, `recipients`. How it is sent: `composing` adds it to the outbox (`store`), `sending` hands due messages to the
channels, which are in `adventureworks.orchestration.channels`.
"""

from adventureworks.messaging.rendered import Attachment, RenderedMessage

__all__ = ["Attachment", "RenderedMessage"]
