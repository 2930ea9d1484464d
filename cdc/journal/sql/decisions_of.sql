-- Decisions held that were taken at one of $times (epoch microseconds).
SELECT kind, epoch_us("at"), coalesce(alert_id, ''), coalesce(by_whom, ''), detail
FROM store.decisions
WHERE "at" BETWEEN make_timestamp($times[1]) AND make_timestamp($times[-1])
  AND list_contains($times, epoch_us("at"));
