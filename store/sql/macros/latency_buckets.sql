-- Durations as counts per bucket: [1.02^n, 1.02^(n+1)) µs, told by its n. Counts add up; percentiles do not.
create or replace macro latency_bucket(duration_us) as
    floor(ln(greatest(duration_us, 1)) / ln(1.02))::integer;

-- What stands for the durations of a bucket: at most 1 % from each.
create or replace macro bucket_duration_us(latency_bucket) as 1.02 ** (latency_bucket + 0.5);

-- A quantile of some buckets, interpolated as quantile_cont does between two measurements: an aggregate over one
-- group's buckets, each with what stands for its durations, of which `reached` of `total` lie in this one and those
-- before.
create or replace macro quantile_of_buckets(quantile, reached, total, duration_us) as
    min(duration_us) filter (reached > floor((total - 1) * quantile::double))
        * (1 - any_value((total - 1) * quantile::double - floor((total - 1) * quantile::double)))
    + min(duration_us) filter (reached > ceil((total - 1) * quantile::double))
        * any_value((total - 1) * quantile::double - floor((total - 1) * quantile::double));
