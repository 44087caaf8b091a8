-- The same with the columns everybody knows (`packed`).
(
    select
        * exclude (
            upstream_tx_us, upstream_first_rx_to_end_us, upstream_last_rx_to_end_us, downstream_first_tx_to_end_us,
            downstream_last_tx_to_end_us, timings_as_told_us
        ),
        coalesce(upstream_first_tx_us + upstream_tx_us, timings_as_told_us[1]) as upstream_last_tx_us,
        coalesce(duration_us - upstream_first_rx_to_end_us, timings_as_told_us[2]) as upstream_first_rx_us,
        coalesce(duration_us - upstream_last_rx_to_end_us, timings_as_told_us[3]) as upstream_last_rx_us,
        coalesce(duration_us - downstream_first_tx_to_end_us, timings_as_told_us[4]) as downstream_first_tx_us,
        coalesce(duration_us - downstream_last_tx_to_end_us, timings_as_told_us[5]) as downstream_last_tx_us
    from {{rows}}
)
