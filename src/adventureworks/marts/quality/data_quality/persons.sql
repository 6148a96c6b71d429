-- Grain: one person and one contact that others may share. The names and contacts are only compared, never published.
-- Forgotten people are left out: their neutral names (gate/pseudonyms.py) resemble each other.
with people as (
    select
        p.BusinessEntityID as person_id,
        p.FirstName || ' ' || p.LastName as full_name
    from raw.Person_Person as p
    where left(p.FirstName, 10) <> 'forgotten-'
)
select
    p.person_id,
    p.full_name,
    'email ' || lower(e.EmailAddress) as contact
from people as p
inner join raw.Person_EmailAddress as e
    on p.person_id = e.BusinessEntityID
union all
select
    p.person_id,
    p.full_name,
    'phone ' || t.PhoneNumber as contact
from people as p
inner join raw.Person_PersonPhone as t
    on p.person_id = t.BusinessEntityID
union all
select
    p.person_id,
    p.full_name,
    'address ' || lower(a.AddressLine1) || ' ' || lower(a.PostalCode) as contact
from people as p
inner join raw.Person_BusinessEntityAddress as b
    on p.person_id = b.BusinessEntityID
inner join raw.Person_Address as a
    on b.AddressID = a.AddressID
