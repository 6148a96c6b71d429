-- Grain: one person and one contact that others may share. The names and contacts are only compared, never published.
select
    p.BusinessEntityID as person_id,
    p.FirstName || ' ' || p.LastName as full_name,
    'email ' || lower(e.EmailAddress) as contact
from raw.Person_Person as p
inner join raw.Person_EmailAddress as e
    on p.BusinessEntityID = e.BusinessEntityID
union all
select
    p.BusinessEntityID as person_id,
    p.FirstName || ' ' || p.LastName as full_name,
    'phone ' || t.PhoneNumber as contact
from raw.Person_Person as p
inner join raw.Person_PersonPhone as t
    on p.BusinessEntityID = t.BusinessEntityID
union all
select
    p.BusinessEntityID as person_id,
    p.FirstName || ' ' || p.LastName as full_name,
    'address ' || lower(a.AddressLine1) || ' ' || lower(a.PostalCode) as contact
from raw.Person_Person as p
inner join raw.Person_BusinessEntityAddress as b
    on p.BusinessEntityID = b.BusinessEntityID
inner join raw.Person_Address as a
    on b.AddressID = a.AddressID
