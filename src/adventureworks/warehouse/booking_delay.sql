-- How long a channel's orders still count towards the month before, in days of the next month. Resellers order in one
-- wave at the end of a month or on the first day of the next. This number is defined only here:
-- `booking_month` of fact_sales and the end of a booking month (staging.channel_month) follow from it. The check of
-- fact_sales repeats it on purpose.
create or replace view staging.booking_delay as
select 'online' as channel, 0 as days
union all
select 'reseller' as channel, 3 as days;
