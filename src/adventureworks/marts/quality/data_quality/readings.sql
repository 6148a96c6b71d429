-- Grain: one source table that was read, and whether its newest reading is held back.
select
    w.asset as table_name,
    w.blocked
from ops.watermark as w
