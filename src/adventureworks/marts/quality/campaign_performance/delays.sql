-- Grain: one channel: how many days of the next month its booking months include.
select
    b.channel,
    b.days
from staging.booking_delay as b
