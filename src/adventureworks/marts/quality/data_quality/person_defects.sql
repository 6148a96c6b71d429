-- Grain: one rule that the source's persons and customers do not always meet. Names are counted, never shown.
-- Forgotten people (gate/pseudonyms.py) are left out: what they lack was erased. A source that does not offer PersonType
-- does not say who is a customer: rules about customers then check no row.
with customers as (
    select
        p.BusinessEntityID as person_id,
        p.PersonType as person_type,
        count(*) over (partition by lower(p.FirstName), lower(p.LastName)) as namesakes,
        min(p.BusinessEntityID) over (partition by lower(p.FirstName), lower(p.LastName)) as first_namesake
    from raw.Person_Person as p
    where coalesce(p.PersonType, 'IN') = 'IN' and left(p.FirstName, 10) <> 'forgotten-'
),
reachable as (
    select
        p.BusinessEntityID as person_id,
        case when e.BusinessEntityID is null then 1 else 0 end as without_email,
        case when t.BusinessEntityID is null then 1 else 0 end as without_phone,
        case
            when p.PersonType is null then null
            when p.PersonType = 'IN' and p.SurveyYearlyIncome is null then 1
            else 0
        end as without_survey
    from raw.Person_Person as p
    left join (select distinct BusinessEntityID from raw.Person_EmailAddress) as e
        on p.BusinessEntityID = e.BusinessEntityID
    left join (select distinct BusinessEntityID from raw.Person_PersonPhone) as t
        on p.BusinessEntityID = t.BusinessEntityID
    where left(p.FirstName, 10) <> 'forgotten-'
),
judged as (
    select 'name_is_the_customers_alone' as rule, 'uniqueness' as dimension, 'info' as severity, person_id, case when person_type is null then null when namesakes > 1 and person_id = first_namesake then 1 else 0 end as bad
    from customers
    union all
    select 'has_an_email_address', 'completeness', 'info', person_id, without_email
    from reachable
    union all
    select 'has_a_telephone', 'completeness', 'info', person_id, without_phone
    from reachable
    union all
    select 'customer_answered_the_survey', 'completeness', 'info', person_id, without_survey
    from reachable
)
select
    'Person_Person' as table_name,
    j.rule,
    j.dimension,
    j.severity,
    count(j.bad) as checked,
    cast(sum(cast(j.bad as bigint)) as bigint) as failed,
    'BusinessEntityID' as key_name,
    cast(min(case when j.bad = 1 then j.person_id end) as varchar) as first_key,
    cast(max(case when j.bad = 1 then j.person_id end) as varchar) as last_key
from judged as j
group by j.rule, j.dimension, j.severity
union all
select
    'Sales_Customer' as table_name,
    'is_a_person_or_a_store' as rule,
    'completeness' as dimension,
    'warning' as severity,
    count(*) as checked,
    cast(sum(cast(case when c.PersonID is null and c.StoreID is null then 1 else 0 end as bigint)) as bigint) as failed,
    'CustomerID' as key_name,
    cast(min(case when c.PersonID is null and c.StoreID is null then c.CustomerID end) as varchar) as first_key,
    cast(max(case when c.PersonID is null and c.StoreID is null then c.CustomerID end) as varchar) as last_key
from raw.Sales_Customer as c
