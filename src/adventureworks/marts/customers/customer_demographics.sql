-- Grain: one question of a customer survey, answer and territory of the orders, with at least five customers.
-- If the cells left out of a question in a territory have fewer than five customers together, the next smallest cell is
-- left out, too: otherwise these few customers could be found by subtraction. That cell has at least five customers.
with bikers as (
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
        customer_id,
        territory_id,
        count(distinct sales_order_id) as orders,
        sum(cast(revenue as decimal(38, 6))) as revenue
    from marts.fact_sales
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
    select
        case
            when grouping(yearly_income) = 0 then 'YearlyIncome'
            when grouping(education) = 0 then 'Education'
            when grouping(occupation) = 0 then 'Occupation'
            when grouping(marital_status) = 0 then 'MaritalStatus'
            when grouping(gender) = 0 then 'Gender'
            when grouping(commute_distance) = 0 then 'CommuteDistance'
            when grouping(home_owner_flag) = 0 then 'HomeOwnerFlag'
            when grouping(total_children) = 0 then 'TotalChildren'
            when grouping(number_children_at_home) = 0 then 'NumberChildrenAtHome'
            when grouping(number_cars_owned) = 0 then 'NumberCarsOwned'
        end as attribute,
        coalesce(
            yearly_income, education, occupation, marital_status, gender, commute_distance, home_owner_flag,
            total_children, number_children_at_home, number_cars_owned
        ) as band,
        territory_id,
        count(*) as customers,
        cast(sum(cast(orders as bigint)) as bigint) as orders,
        cast(sum(cast(revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
        count(biker) as bike_buyers
    from persons
    group by grouping sets (
        (territory_id, yearly_income),
        (territory_id, education),
        (territory_id, occupation),
        (territory_id, marital_status),
        (territory_id, gender),
        (territory_id, commute_distance),
        (territory_id, home_owner_flag),
        (territory_id, total_children),
        (territory_id, number_children_at_home),
        (territory_id, number_cars_owned)
    )
    union all
    select
        case
            when grouping(business_type) = 0 then 'BusinessType'
            when grouping(specialty) = 0 then 'Specialty'
            when grouping(brands) = 0 then 'Brands'
            when grouping(internet) = 0 then 'Internet'
            when grouping(bank_name) = 0 then 'BankName'
        end as attribute,
        coalesce(business_type, specialty, brands, internet, bank_name) as band,
        territory_id,
        count(*) as customers,
        cast(sum(cast(orders as bigint)) as bigint) as orders,
        cast(sum(cast(revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
        count(biker) as bike_buyers
    from stores
    group by grouping sets (
        (territory_id, business_type),
        (territory_id, specialty),
        (territory_id, brands),
        (territory_id, internet),
        (territory_id, bank_name)
    )
),
cells as (
    select
        attribute,
        band,
        territory_id,
        customers,
        orders,
        revenue,
        bike_buyers
    from answers
    where band is not null
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
