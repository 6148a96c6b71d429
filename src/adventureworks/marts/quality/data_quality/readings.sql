-- Grain: one source table that was read, and whether its newest data is blocked.
select
    w.asset as table_name,
    w.blocked
from ops.watermark as w
