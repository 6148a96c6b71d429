-- Grain: one question of a customer survey, answer and territory of the orders, with at least five customers.
-- If the cells left out of a question in a territory have fewer than five customers together, the next smallest cell is
-- left out, too: otherwise these few customers could be found by subtraction. That cell has at least five customers.
with persons as (
    select
        c.CustomerID as customer_id,
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
    from raw.Sales_Customer as c
    inner join raw.Person_Person as p
        on c.PersonID = p.BusinessEntityID
    where c.StoreID is null
),
stores as (
    select
        c.CustomerID as customer_id,
        s.SurveyBusinessType as business_type,
        s.SurveySpecialty as specialty,
        s.SurveyBrands as brands,
        s.SurveyInternet as internet,
        s.SurveyBankName as bank_name
    from raw.Sales_Customer as c
    inner join raw.Sales_Store as s
        on c.StoreID = s.BusinessEntityID
),
answers as (
    select customer_id, 'YearlyIncome' as attribute, yearly_income as band from persons
    union all
    select customer_id, 'Education' as attribute, education as band from persons
    union all
    select customer_id, 'Occupation' as attribute, occupation as band from persons
    union all
    select customer_id, 'MaritalStatus' as attribute, marital_status as band from persons
    union all
    select customer_id, 'Gender' as attribute, gender as band from persons
    union all
    select customer_id, 'CommuteDistance' as attribute, commute_distance as band from persons
    union all
    select customer_id, 'HomeOwnerFlag' as attribute, home_owner_flag as band from persons
    union all
    select customer_id, 'TotalChildren' as attribute, total_children as band from persons
    union all
    select customer_id, 'NumberChildrenAtHome' as attribute, number_children_at_home as band from persons
    union all
    select customer_id, 'NumberCarsOwned' as attribute, number_cars_owned as band from persons
    union all
    select customer_id, 'BusinessType' as attribute, business_type as band from stores
    union all
    select customer_id, 'Specialty' as attribute, specialty as band from stores
    union all
    select customer_id, 'Brands' as attribute, brands as band from stores
    union all
    select customer_id, 'Internet' as attribute, internet as band from stores
    union all
    select customer_id, 'BankName' as attribute, bank_name as band from stores
),
bikers as (
    select distinct f.customer_id
    from marts.fact_sales as f
    inner join raw.Production_Product as p
        on f.product_id = p.ProductID
    inner join raw.Production_ProductSubcategory as s
        on p.ProductSubcategoryID = s.ProductSubcategoryID
    inner join raw.Production_ProductCategory as c
        on s.ProductCategoryID = c.ProductCategoryID
    where c.Name = 'Bikes'
),
bought as (
    select
        f.customer_id,
        f.territory_id,
        count(distinct f.sales_order_id) as orders,
        sum(cast(f.revenue as decimal(38, 6))) as revenue
    from marts.fact_sales as f
    group by f.customer_id, f.territory_id
),
cells as (
    select
        a.attribute,
        a.band,
        b.territory_id,
        count(*) as customers,
        cast(sum(cast(b.orders as bigint)) as bigint) as orders,
        cast(sum(cast(b.revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
        count(k.customer_id) as bike_buyers
    from answers as a
    inner join bought as b
        on a.customer_id = b.customer_id
    left join bikers as k
        on a.customer_id = k.customer_id
    where a.band is not null
    group by a.attribute, a.band, b.territory_id
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
