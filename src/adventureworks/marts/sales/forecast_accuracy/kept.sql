-- Grain: one forecast or withheld one.
-- Rows with neither a total nor its reason may be by calendar month, from earlier releases.
select
    f.month,
    f.channel,
    f.territory_id,
    f.model,
    f.forecast
from marts.sales_forecast as f
where f.channel_forecast is not null or f.channel_withheld_because is not null
