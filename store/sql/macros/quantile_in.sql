-- Where a quantile lies, in µs, if this bucket of milliseconds or an earlier one holds it, else null. `reached` of
-- `total` measurements lie in this bucket and those before; the smallest answer over all buckets is the quantile.
create or replace macro quantile_in(quantile, reached, total, n, lower, upper) as
    case
        when reached < quantile * total then null
        when upper = 'infinity'::double then lower * 1000
        else (lower + (upper - lower) * greatest(quantile * total - (reached - n), 0) / n) * 1000
    end;
