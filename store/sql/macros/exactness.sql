-- Up to which length of a window percentiles are of rows, in seconds (`exact_window_s` of the store's settings).
create or replace macro exact_window_s() as 900;

-- Are the percentiles of a window those of its rows, exact? Not of a longer one, which `edges_1m` answers within 1 %,
-- and not where rows of it are no longer kept. A reader that knows puts another macro of this name before this one
-- (`ask/exact`, `ask/rolled_up`).
create or replace macro is_exact(from_time, to_time) as
    epoch_us(to_time::timestamp) - epoch_us(from_time::timestamp) <= exact_window_s() * 1000000
    and not exists (
        from dropped_minutes
        where "minute" >= date_trunc('minute', from_time::timestamp) and "minute" < to_time::timestamp
    );
