-- Grain: one published forecast.
select
    f.month,
    f.channel,
    f.territory_id,
    f.model,
    f.forecast
from marts.sales_forecast as f
