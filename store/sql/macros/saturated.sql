-- A sum as a bigint; one past that range is the largest there is. Sizes and durations are what somebody sent:
-- two of the largest must not fail the question about everybody.
create or replace macro saturated(total) as
    case
        when total > 9223372036854775807 then 9223372036854775807
        when total < -9223372036854775808 then -9223372036854775808
        else total
    end::bigint;
