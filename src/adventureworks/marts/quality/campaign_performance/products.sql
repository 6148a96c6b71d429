-- Grain: one product, with its subcategory.
select
    p.ProductID as product_id,
    coalesce(p.ProductSubcategoryID, 0) as subcategory_id
from raw.Production_Product as p
