-- Grain: one question of a customer survey, answer and territory of the orders, with at least five customers.
-- If the cells left out of a question in a territory have fewer than five customers together, the next smallest cell is
-- left out, too: otherwise these few customers could be found by subtraction. That cell has at least five customers.
with bikers as (
    select distinct customer_id
    from marts.customer_days
    where has_bike
),
bought as (
    select
        customer_id,
        territory_id,
        sum(cast(orders as bigint)) as orders,
        sum(cast(revenue as decimal(38, 6))) as revenue
    from marts.customer_days
    group by customer_id, territory_id
),
buyers as (
    select
        b.customer_id,
        b.territory_id,
        b.orders,
        b.revenue,
        k.customer_id as biker
    from bought as b
    left join bikers as k
        on b.customer_id = k.customer_id
),
persons as (
    select
        b.territory_id,
        b.orders,
        b.revenue,
        b.biker,
        p.SurveyYearlyIncome as yearly_income,
        p.SurveyEducation as education,
        p.SurveyOccupation as occupation,
        p.SurveyMaritalStatus as marital_status,
        p.SurveyGender as gender,
        p.SurveyCommuteDistance as commute_distance,
        case when p.SurveyHomeOwnerFlag then '1' when not p.SurveyHomeOwnerFlag then '0' end as home_owner_flag,
        cast(p.SurveyTotalChildren as varchar) as total_children,
        cast(p.SurveyNumberChildrenAtHome as varchar) as number_children_at_home,
        cast(p.SurveyNumberCarsOwned as varchar) as number_cars_owned
    from buyers as b
    inner join raw.Sales_Customer as c
        on b.customer_id = c.CustomerID
    inner join raw.Person_Person as p
        on c.PersonID = p.BusinessEntityID
    where c.StoreID is null
),
stores as (
    select
        b.territory_id,
        b.orders,
        b.revenue,
        b.biker,
        s.SurveyBusinessType as business_type,
        s.SurveySpecialty as specialty,
        s.SurveyBrands as brands,
        s.SurveyInternet as internet,
        s.SurveyBankName as bank_name
    from buyers as b
    inner join raw.Sales_Customer as c
        on b.customer_id = c.CustomerID
    inner join raw.Sales_Store as s
        on c.StoreID = s.BusinessEntityID
),
answers as (
    select 'YearlyIncome' as attribute, yearly_income as band, territory_id, orders, revenue, biker from persons
    union all
    select 'Education' as attribute, education as band, territory_id, orders, revenue, biker from persons
    union all
    select 'Occupation' as attribute, occupation as band, territory_id, orders, revenue, biker from persons
    union all
    select 'MaritalStatus' as attribute, marital_status as band, territory_id, orders, revenue, biker from persons
    union all
    select 'Gender' as attribute, gender as band, territory_id, orders, revenue, biker from persons
    union all
    select 'CommuteDistance' as attribute, commute_distance as band, territory_id, orders, revenue, biker from persons
    union all
    select 'HomeOwnerFlag' as attribute, home_owner_flag as band, territory_id, orders, revenue, biker from persons
    union all
    select 'TotalChildren' as attribute, total_children as band, territory_id, orders, revenue, biker from persons
    union all
    select 'NumberChildrenAtHome' as attribute, number_children_at_home as band, territory_id, orders, revenue, biker from persons
    union all
    select 'NumberCarsOwned' as attribute, number_cars_owned as band, territory_id, orders, revenue, biker from persons
    union all
    select 'BusinessType' as attribute, business_type as band, territory_id, orders, revenue, biker from stores
    union all
    select 'Specialty' as attribute, specialty as band, territory_id, orders, revenue, biker from stores
    union all
    select 'Brands' as attribute, brands as band, territory_id, orders, revenue, biker from stores
    union all
    select 'Internet' as attribute, internet as band, territory_id, orders, revenue, biker from stores
    union all
    select 'BankName' as attribute, bank_name as band, territory_id, orders, revenue, biker from stores
),
cells as (
    select
        attribute,
        band,
        territory_id,
        count(*) as customers,
        cast(sum(cast(orders as bigint)) as bigint) as orders,
        cast(sum(cast(revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
        count(biker) as bike_buyers
    from answers
    where band is not null
    group by attribute, band, territory_id
),
ranked as (
    select
        c.attribute,
        c.band,
        c.territory_id,
        c.customers,
        c.orders,
        c.revenue,
        c.bike_buyers,
        sum(cast(case when c.customers < 5 then 1 else 0 end as bigint)) over (
            partition by c.attribute, c.territory_id
        ) as small_cells,
        sum(cast(case when c.customers < 5 then c.customers else 0 end as bigint)) over (
            partition by c.attribute, c.territory_id
        ) as customers_of_small_cells,
        row_number() over (partition by c.attribute, c.territory_id order by c.customers, c.band) as size_place
    from cells as c
)
select
    r.attribute,
    r.band,
    r.territory_id,
    -- Rounded, so that two versions cannot be compared at a glance for a single customer.
    cast(cast(cast(r.customers as decimal(38, 4)) / 5 as decimal(38, 0)) * 5 as bigint) as customers,
    cast(cast(cast(r.orders as decimal(38, 4)) / 5 as decimal(38, 0)) * 5 as bigint) as orders,
    r.revenue,
    cast(cast(r.revenue as decimal(38, 6)) / nullif(r.orders, 0) as decimal(38, 10)) as average_order_value,
    cast(cast(r.bike_buyers as decimal(38, 4)) / nullif(r.customers, 0) as decimal(38, 10)) as bike_buyer_share,
    cast(:as_of as date) as as_of
from ranked as r
where
    r.customers >= 5
    and not (r.customers_of_small_cells between 1 and 4 and r.size_place = r.small_cells + 1)
