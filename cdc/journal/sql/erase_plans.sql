-- The files of restore plans.
SELECT DISTINCT plan_file FROM store.restores WHERE plan_file <> '';
