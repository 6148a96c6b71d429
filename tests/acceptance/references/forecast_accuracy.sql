-- Validates: errors, intervals and choices of all models from the thirteenth booking month of each series on, the error of the choice itself, and that of a constant
-- Fault of the_choice_follows_the_rule: update candidate set is_chosen = false where territory_id = 1
-- Fault of errors_are_those_of_the_series: update candidate set wape = wape * 1.1 where model = 'naive'
-- Fault of intervals_covered_what_is_stated: update candidate set coverage_95 = 0.9 where model = 'naive'
-- Fault of errors_of_a_channel_are_those_of_its_territories: update candidate set channel_wape = channel_wape * 1.1 where model = 'theta'
-- Fault of published_forecasts_are_scored: update candidate set published_months = published_months + 1
-- forecasts.py computes the backtest.
select *, null::double as published_wape, 0 as published_months from backtest
