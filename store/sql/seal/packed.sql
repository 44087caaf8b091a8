-- Observations as their segments hold them. Four of the timings are nearly the duration, and the last byte goes up
-- right after the first: what is kept is what is between, in 4 bytes that compress well. A row where that does not
-- fit (longer than 35 minutes, no duration, a clock that ran backwards) keeps its timings as they were told.
(
    select
        * exclude (
            is_usual, upstream_last_tx_us, upstream_first_rx_us, upstream_last_rx_us, downstream_first_tx_us,
            downstream_last_tx_us
        ),
        case when is_usual then (upstream_last_tx_us - upstream_first_tx_us)::integer end as upstream_tx_us,
        case when is_usual then (duration_us - upstream_first_rx_us)::integer end as upstream_first_rx_to_end_us,
        case when is_usual then (duration_us - upstream_last_rx_us)::integer end as upstream_last_rx_to_end_us,
        case when is_usual then (duration_us - downstream_first_tx_us)::integer end as downstream_first_tx_to_end_us,
        case when is_usual then (duration_us - downstream_last_tx_us)::integer end as downstream_last_tx_to_end_us,
        case when not is_usual then [
            upstream_last_tx_us, upstream_first_rx_us, upstream_last_rx_us, downstream_first_tx_us,
            downstream_last_tx_us
        ] end as timings_as_told_us
    from (
        select
            *,
            coalesce(
                upstream_last_tx_us, upstream_first_rx_us, upstream_last_rx_us, downstream_first_tx_us,
                downstream_last_tx_us
            ) is null
            or (
                -- One `or` of all bits: negative if any is, and too large if any is.
                (
                    coalesce(duration_us, -1) | coalesce(upstream_first_tx_us, 0) | coalesce(upstream_last_tx_us, 0)
                    | coalesce(upstream_first_rx_us, 0) | coalesce(upstream_last_rx_us, 0)
                    | coalesce(downstream_first_tx_us, 0) | coalesce(downstream_last_tx_us, 0)
                ) between 0 and 2147483647
                and (upstream_last_tx_us is null or upstream_first_tx_us is not null)
            ) as is_usual
        from {{rows}}
    )
)
