-- How many events are a restore's own.
SELECT count(*) FROM answer.own_of($restore_id);
