-- The transactions of a restore's own events.
SELECT DISTINCT transaction_key FROM answer.own_of($restore_id) WHERE transaction_key IS NOT NULL ORDER BY ALL;
