-- Validates: orders and revenue per type of card, shares of the month, expired cards
-- Fault of sums_are_those_of_the_orders: update candidate set expired_at_order = 0 where card_type = 'Vista'
with paid as (
    select s.month, coalesce(c.CardType, 'No card') as card_type, s.sales_order_id, sum(s.revenue) as revenue,
        any_value(s.order_date) > last_day(make_date(any_value(c.ExpYear), any_value(c.ExpMonth), 1)) as expired
    from sold as s
    join Sales_SalesOrderHeader as h on h.SalesOrderID = s.sales_order_id
    left join Sales_CreditCard as c using (CreditCardID)
    group by all
)
select
    month, card_type, count(*) as orders, sum(revenue) as revenue,
    sum(revenue)::double / count(*) as average_order_value, count(*) / sum(count(*)) over (partition by month) as order_share,
    count(*) filter (expired) as expired_at_order
from paid group by month, card_type
