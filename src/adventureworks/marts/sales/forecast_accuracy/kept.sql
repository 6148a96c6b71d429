-- Grain: one published forecast. Forecasts without a total of the channel are by calendar month, from earlier releases.
select
    f.month,
    f.channel,
    f.territory_id,
    f.model,
    f.forecast
from marts.sales_forecast as f
where f.channel_forecast is not null or f.channel_withheld_because is not null
