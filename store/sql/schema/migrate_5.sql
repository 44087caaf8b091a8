-- 5 → 6: segments of observations may be packed, which older releases cannot read. Nothing in the catalogue changes.
from {{known}}.about limit 0
